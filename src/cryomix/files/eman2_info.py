"""What EMAN2 keeps of a micrograph beside the images, in ``info/NAME_info.json``."""

import json
import re
from pathlib import Path

from cryomix.errors import InputFileError
from cryomix.files.eman2_attributes import parse_ctf

_MOST_BYTES = 2**26


def read_micrograph_ctf(stack: Path) -> list[float] | None:
    """CTF of the micrograph that the images of `stack` are from, as `parse_ctf` has it.

    EMAN2 puts it beside the folder of the stack, under the name that the stack has before
    ``__`` and ``_ptcls``: fitted to the particles (``ctf``) or, else, to the whole frame
    (``ctf_frame``).

    Raises
    ------
    InputFileError
        If there is such a file but it is malformed.
    """
    name = re.sub(r"__.*|_ptcls", "", stack.stem)
    path = stack.parent.parent / "info" / f"{name}_info.json"
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputFileError(f"{path}: must have at most {_MOST_BYTES} bytes")
        content = json.loads(path.read_bytes())
        for key, place in (("ctf", 0), ("ctf_frame", 1)):
            if isinstance(content, dict) and key in content:
                return parse_ctf(content[key][place])
    except InputFileError:
        raise
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise InputFileError(f"{path}: malformed CTF: {error}") from error
    return None
