"""`cryomix view`: a job in the browser."""

import sys
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
    from socket import socket
    from types import ModuleType

    import numpy as np
    from jaxtyping import Bool

    from cryomix.files.job import JobFolder

_RUNTIME = RuntimeOptions()


def view(
    job: JobPath,
    *,
    port: Annotated[
        int | None,
        Parameter(help="port on this machine; 0 takes a free one [that of last time]"),
    ] = None,
    new_address: Annotated[
        bool, Parameter(negative="", help="another secret in the address than last time")
    ] = False,
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
    rebuild maps from; paths drawn on the map, to keep, play and rebuild maps along. Works without
    a network, on this machine only; the address holds a secret. It is the same at each start, so
    that an open page goes on when the explorer is started again: JOB/.view.json, which only you can
    read, keeps it. Besides, writes only selections, paths and maps into JOB. New results of the job
    are shown as they come; of one that is being trained, after each epoch the scores, the latents
    as the encoder gave them in it, and the models of its decoder. Ctrl-C ends it.

        cryomix view job
        cryomix view job --no-browser --port 8765
        cryomix view job --domain arm.mrc --domain foot.mrc
        cryomix view job --new-address
    """
    from cryomix.commands.device import prepare_device
    from cryomix.commands.exploration import read_exploration
    from cryomix.files.job import open_job

    if port is not None and not 0 <= port <= 65535:
        raise OptionError(f"port must be between 0 and 65535, got {port}")
    folder = open_job(job)
    server = _import_server()
    # One model at a time: more threads would wait for each other, and for the browser.
    prepare_device(replace(runtime, threads=runtime.threads or 1))

    exploration = read_exploration(folder, domains=_read_given(folder, domain))
    listener, token = _listen(folder, port, is_new=new_address)
    port = listener.getsockname()[1]
    address = f"http://127.0.0.1:{port}/{token}/"
    print(address, flush=True)
    print(f"from another machine: ssh -L {port}:127.0.0.1:{port} {_login()}", flush=True)
    if browser:
        # In a thread, because a browser in the terminal would hold up the server.
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    server.make_server(server.make_app(exploration, token)).run(sockets=[listener])


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


def _listen(job: "JobFolder", port: int | None, *, is_new: bool) -> "tuple[socket, str]":
    """A socket and the token, those of last time if they are kept and the port is free.

    Port and token belong together: a page that looks for its server on this port again must find
    either it or nobody who knows the token, so no two servers share one.
    """
    from cryomix.files.explorer_address import (
        ExplorerAddress,
        forget_address,
        keep_address,
        read_address,
    )
    from cryomix.viewer.guard import make_token
    from cryomix.viewer.server import open_socket

    if is_new:
        forget_address(job)
    kept = read_address(job)
    if kept is not None and port in (None, kept.port):
        try:
            return open_socket(kept.port), kept.token
        except OSError as error:
            if port is not None:
                raise _unusable(port, error) from error
            _note(
                f"port {kept.port} is in use, perhaps by another explorer of this job: "
                "this one has an address of its own"
            )
            return open_socket(0), make_token()
    try:
        listener = open_socket(port or 0)
    except OSError as error:
        raise _unusable(port or 0, error) from error
    token = make_token()
    if not keep_address(job, ExplorerAddress(listener.getsockname()[1], token)):
        _note(f"{job.path}: cannot keep a secret: the next start has another address")
    return listener, token


def _note(text: str) -> None:
    """Beside the output, whose first line is the address."""
    print(f"cryomix: {text}", file=sys.stderr, flush=True)


def _unusable(port: int, error: OSError) -> OptionError:
    return OptionError(f"port {port} cannot be used: {error.strerror or error}")


def _import_server() -> "ModuleType":
    try:
        from cryomix.viewer import server
    except ModuleNotFoundError as error:
        raise OptionError(
            f"cryomix view needs {error.name}, got none; pip install 'cryomix[view]'"
        ) from error
    return server


def _login() -> str:
    import getpass
    import socket

    return f"{getpass.getuser()}@{socket.gethostname()}"
