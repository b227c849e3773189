"""`cryomix run` as RELION's External job: how it is called, stopped, and how it answers."""

import _thread
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryomix.options import RuntimeOptions, knob

if TYPE_CHECKING:
    from cryomix.files.external_job import End

INTERRUPTED = 130  # exit code after Ctrl-C
_END_OF_CODE: dict[int, "End"] = {0: "SUCCESS", INTERRUPTED: "ABORTED"}
_LOOK_EVERY = 1.0  # seconds


@dataclass(frozen=True, kw_only=True)
class ExternalRuntime(RuntimeOptions):
    """What every command shares, and what RELION adds to a command of its own accord."""

    threads: Annotated[int, Parameter(alias="--j")] = knob(0, "processor threads; 0 takes all")
    # The folder once more, where the command holds "relion_", if only in the name of a file.
    pipeline_control: Annotated[Path | None, Parameter("--pipeline_control", show=False)] = None


def find_external_job(tokens: Sequence[str]) -> Path | None:
    """Folder of the External job that a command line is called by, or None.

    RELION calls ``run --o External/job012/ --in_parts particles.star …``; nobody else names
    particles so.
    """
    if tokens[:1] != ["run"] or _value_of("--in_parts", tokens) is None:
        return None
    folder = _value_of("--o", tokens)
    return None if folder is None else Path(folder)


def answer_relion(folder: Path, perform: Callable[[], int]) -> int:
    """Do what `perform` does, which returns an exit code, and tell RELION how it ended.

    ``RELION_JOB_ABORT_NOW`` in `folder`, or the signal by which queues stop a job, interrupts it
    as Ctrl-C does.

    Raises
    ------
    OutputError
        If `folder` cannot be written.
    """
    from cryomix.files.external_job import begin_external_job, end_external_job

    begin_external_job(folder)
    code = 1  # of an exception that is nobody's mistake but ours
    try:
        with _stopping(folder):
            code = perform()
    except KeyboardInterrupt:
        code = INTERRUPTED
    finally:
        end_external_job(folder, _END_OF_CODE.get(code, "FAILURE"))
    return code


@contextmanager
def _stopping(folder: Path) -> Iterator[None]:
    from cryomix.files.external_job import is_abort_asked

    done = threading.Event()

    def watch() -> None:
        while not done.wait(_LOOK_EVERY):
            if is_abort_asked(folder):
                _thread.interrupt_main()
                return

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    watcher = threading.Thread(target=watch, name="abort", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        signal.signal(signal.SIGTERM, before)


def _value_of(flag: str, tokens: Sequence[str]) -> str | None:
    for token, following in zip(tokens, [*tokens[1:], ""], strict=True):
        if token == flag and following:
            return following
        if token.startswith(f"{flag}="):
            return token.removeprefix(f"{flag}=")
    return None
