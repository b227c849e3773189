"""From signatures to the command line, and from errors to exit codes."""

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

_FLAGS = {"box_size": "--box", "pose_error_deg": "--pose-error", "latent_size": "--latent-dim"}
_USAGE, _INTERRUPTED = 2, 130


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
    """Run one command; its exit code: 0 done, 1 no, 2 a mistake of the user's, 130 Ctrl-C."""
    warnings.showwarning = _show_warning
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    try:
        command, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
    except (CycloptsError, ValueError) as error:
        # An options class that refuses a value raises ValueError while it is parsed.
        return _complain(_one_line(error), _USAGE)
    try:
        code = command(*bound.args, **bound.kwargs)
    except CryomixError as error:
        return _complain(_one_line(error), _USAGE)
    except KeyboardInterrupt:
        if "resume" in bound.signature.parameters:
            again = "interrupted; the same command with --resume continues it"
            return _complain(again, _INTERRUPTED)
        return _complain("interrupted", _INTERRUPTED)
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
