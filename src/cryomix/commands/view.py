"""`cryomix view`: a job in the browser."""

import threading
import webbrowser
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryomix.commands.flags import Flat, JobPath, Seed
from cryomix.errors import OptionError
from cryomix.options import RuntimeOptions

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np
    from jaxtyping import Bool

    from cryomix.files.job import JobFolder

_RUNTIME = RuntimeOptions()


def view(
    job: JobPath,
    *,
    port: Annotated[int, Parameter(help="port on this machine; 0 takes a free one")] = 0,
    browser: Annotated[
        bool, Parameter(help="open the page; without, its address is only printed")
    ] = True,
    domain: Annotated[
        tuple[Path, ...],
        Parameter(
            help="mask of a domain (MRC), or numbers of its Gaussians (.npy), to colour, fade or "
            "hold still; may be given again. Those of `analyze` are there without",
            show_default=False,
        ),
    ] = (),
    seed: Seed = 0,
    runtime: Annotated[RuntimeOptions, Flat] = _RUNTIME,
) -> None:
    """Explore a job in the browser: drag over the particles, and the molecule follows.

    Maps of the particles, models at any place of them, motions, and selections to export or to
    rebuild maps from. Works without a network, on this machine only; the address holds a secret.
    Writes only into JOB/selections. Of a job that is being trained it shows the scores. Ctrl-C ends
    it.

        cryomix view job
        cryomix view job --no-browser --port 8765
        cryomix view job --domain arm.mrc --domain foot.mrc
    """
    from cryomix.commands.device import prepare_device
    from cryomix.commands.exploration import read_exploration
    from cryomix.files.job import open_job

    if not 0 <= port <= 65535:
        raise OptionError(f"port must be between 0 and 65535, got {port}")
    folder = open_job(job)
    server, guard = _import_server()
    # One model at a time: more threads would wait for each other, and for the browser.
    prepare_device(replace(runtime, threads=runtime.threads or 1))

    token = guard.make_token()
    app = server.make_app(read_exploration(folder, _read_given(folder, domain)), token)
    try:
        listener = server.open_socket(port)
    except OSError as error:
        raise OptionError(f"port {port} cannot be used: {error.strerror or error}") from error
    port = listener.getsockname()[1]
    address = f"http://127.0.0.1:{port}/{token}/"
    print(address, flush=True)
    print(f"from another machine: ssh -L {port}:127.0.0.1:{port} {_login()}", flush=True)
    if browser:
        # In a thread, because a browser in the terminal would hold up the server.
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    server.make_server(app).run(sockets=[listener])


def _read_given(
    job: "JobFolder", paths: tuple[Path, ...]
) -> "dict[str, Bool[np.ndarray, 'gaussians']]":
    from cryomix.commands.domains import read_domains
    from cryomix.commands.record import read_source
    from cryomix.errors import CheckpointError
    from cryomix.files.training import read_model

    if not paths:
        return {}
    if not job.model.is_file():
        raise CheckpointError(f"{job.path}: --domain needs a job that has been trained")
    neutral = read_model(job.model).decoder.neutral
    inside = read_domains(paths, neutral, read_source(job)[1])
    return {name: each.numpy() for name, each in inside.items()}


def _import_server() -> "tuple[ModuleType, ModuleType]":
    try:
        from cryomix.viewer import guard, server
    except ModuleNotFoundError as error:
        raise OptionError(
            f"cryomix view needs {error.name}, got none; pip install 'cryomix[view]'"
        ) from error
    return server, guard


def _login() -> str:
    import getpass
    import socket

    return f"{getpass.getuser()}@{socket.gethostname()}"
