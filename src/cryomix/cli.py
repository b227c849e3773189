"""From signatures to the command line, and from errors to exit codes."""

import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from typing import TextIO

from cyclopts import App, CycloptsError, Parameter

from cryomix import __version__
from cryomix.commands.analyze import analyze
from cryomix.commands.check import check
from cryomix.commands.decode import decode
from cryomix.commands.demo import demo
from cryomix.commands.device import is_quiet, may_complain
from cryomix.commands.draw import draw
from cryomix.commands.evaluate import evaluate
from cryomix.commands.export import export
from cryomix.commands.external_job import INTERRUPTED, answer_relion, find_external_job
from cryomix.commands.neutral import neutral
from cryomix.commands.reconstruct import reconstruct
from cryomix.commands.refine_poses import refine_poses
from cryomix.commands.reproduce import reproduce
from cryomix.commands.run import run
from cryomix.commands.simulate import simulate
from cryomix.commands.train import train
from cryomix.commands.trajectory import trajectory
from cryomix.commands.view import view
from cryomix.errors import CryomixError
from cryomix.files.run_record import COMMAND_LINE

_FLAGS = {"box_size": "--box", "pose_error_deg": "--pose-error", "latent_size": "--latent-dim"}
_USAGE, _FAULT = 2, 1


def _to_flag(name: str) -> str:
    return _FLAGS.get(name, name).removeprefix("--").replace("_", "-")


app = App(
    name="cryomix",
    help="How a molecule moves and what it is made of, from cryo-EM single particles.",
    version=__version__,
    default_parameter=Parameter(name_transform=_to_flag, negative_iterable=()),
    help_format="markdown",
)
for _command in (
    demo, simulate, check, neutral, train, analyze, trajectory, reconstruct, decode, draw,
    refine_poses, evaluate, view, export, run, reproduce,
):  # fmt: skip
    app.command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code: 0 done, 1 no, 2 a mistake of the user's, 130 Ctrl-C.

    A full disk or a file without permission that we write ends with 2 and the file's name; whatever
    else the system refuses, and memory that is not there, with 1.
    """
    warnings.showwarning = _show_warning
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    typed = COMMAND_LINE.set(shlex.join(["cryomix", *tokens]))
    try:
        external = find_external_job(tokens)
        if external is None:
            return _perform(tokens)
        return answer_relion(external, lambda: _perform(tokens))
    except CryomixError as error:
        return _complain(_one_line(error), _USAGE)
    finally:
        COMMAND_LINE.reset(typed)


def _perform(tokens: list[str]) -> int:
    try:
        command, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
    except (CycloptsError, ValueError) as error:
        # An options class that refuses a value raises ValueError while it is parsed.
        return _complain(_one_line(error), _USAGE)
    try:
        code = command(*bound.args, **bound.kwargs)
    except CryomixError as error:
        return _complain(_one_line(error), _USAGE)
    except BrokenPipeError:
        # Who reads what we print has gone; Python must not try to print the rest at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAULT
    except OSError as error:
        return _complain(f"the system refuses: {_one_line(error)}", _FAULT)
    except MemoryError as error:
        return _complain(f"not enough memory: {_one_line(error) or 'no more was given'}", _FAULT)
    except KeyboardInterrupt:
        if "resume" in bound.signature.parameters:
            again = "interrupted; the same command with --resume continues it"
            return _complain(again, INTERRUPTED)
        return _complain("interrupted", INTERRUPTED)
    return code if isinstance(code, int) else 0


def _complain(text: str, code: int) -> int:
    if may_complain():
        print(f"cryomix: {text}", file=sys.stderr)
    return code


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """One line without the place in the source, which says nothing to a user."""
    if not is_quiet():
        print(f"cryomix: warning: {message}", file=file or sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
