"""What was run: command, options, versions and inputs, as TOML."""

import hashlib
import json
import platform
import tomllib
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import asdict, dataclass, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cryomix.errors import CheckpointError, InputFileError
from cryomix.files.atomic import write_atomically

_MEBIBYTE = 2**20
_HASHED_WHOLE = 1024 * _MEBIBYTE
_HASHED_END = 16 * _MEBIBYTE
_PACKAGES = ("cryomix", "torch", "numpy")

COMMAND_LINE: ContextVar[str] = ContextVar("command line", default="")
"""What was typed, as a shell takes it; `cryomix.cli.main` sets it."""


@dataclass(frozen=True, slots=True)
class InputDigest:
    """An input file as it was when the command ran.

    Attributes
    ----------
    path
        As given.
    size
        Bytes.
    sha256
        Of what `hashed` says.
    hashed
        ``whole``; for files over 1 GiB ``size, first and last 16 MiB``.
    """

    path: str
    size: int
    sha256: str
    hashed: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of a command; options that were None are absent.

    `line` is what was typed, or only the command where Python called it.
    """

    command: str
    line: str
    seed: int
    device: str
    versions: dict[str, str]
    options: dict[str, Any]
    inputs: tuple[InputDigest, ...]


def write_run_record(
    path: Path,
    command: str,
    options: object,
    inputs: Sequence[Path],
    seed: int,
    device: str,
) -> None:
    """Write the record of a run.

    Parameters
    ----------
    path
        ``run.toml`` of the job.
    command
        Its name.
    options
        A mapping or an options dataclass, possibly of others; every one of them is written.
    inputs
        Files whose digest is taken.
    seed, device
        As used.
    """
    settings = options
    if is_dataclass(options) and not isinstance(options, type):
        settings = asdict(options)
    if not isinstance(settings, Mapping):
        raise TypeError(f"options must be a mapping or a dataclass, got {options!r}")
    lines = [
        f"command = {_toml(command)}",
        f"line = {_toml(COMMAND_LINE.get() or f'cryomix {command}')}",
        f"seed = {_toml(seed)}",
        f"device = {_toml(device)}",
        "",
        "[versions]",
        f"python = {_toml(platform.python_version())}",
        *(f"{package} = {_toml(version(package))}" for package in _PACKAGES),
        *_table("options", settings),
    ]
    for digest in map(digest_input, inputs):
        lines += ["", "[[inputs]]"]
        lines += [f"{key} = {_toml(value)}" for key, value in asdict(digest).items()]
    with write_atomically(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def read_run_record(path: Path) -> RunRecord:
    """The record of an earlier run.

    Raises
    ------
    CheckpointError
        If the file is missing or is no run record.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return RunRecord(
            command=str(content["command"]),
            line=str(content.get("line", f"cryomix {content['command']}")),
            seed=int(content["seed"]),
            device=str(content["device"]),
            versions=_mapping(content["versions"]),
            options=_mapping(content["options"]),
            inputs=tuple(
                InputDigest(
                    str(digest["path"]),
                    int(digest["size"]),
                    str(digest["sha256"]),
                    str(digest["hashed"]),
                )
                for digest in map(_mapping, content.get("inputs", ()))
            ),
        )
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: there is no such file") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    except KeyError as error:
        raise CheckpointError(f"{path}: not a run record: it lacks {error}") from error
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a run record: {error}") from error


def digest_input(path: Path) -> InputDigest:
    """Digest of a file; only the ends of one over 1 GiB are read."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            if size <= _HASHED_WHOLE:
                digest = hashlib.file_digest(file, "sha256")
                return InputDigest(str(path), size, digest.hexdigest(), "whole")
            digest = hashlib.sha256(str(size).encode())
            digest.update(file.read(_HASHED_END))
            file.seek(size - _HASHED_END)
            digest.update(file.read(_HASHED_END))
            hashed = f"size, first and last {_HASHED_END // _MEBIBYTE} MiB"
            return InputDigest(str(path), size, digest.hexdigest(), hashed)
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror or error}") from error


def _mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"a table must be there, got {value!r}")
    return value


def _table(name: str, settings: Mapping[str, object]) -> list[str]:
    lines = ["", f"[{name}]"]
    nested: list[str] = []
    for key, value in settings.items():
        if isinstance(value, Mapping):
            nested += _table(f"{name}.{_toml(str(key))}", value)
        elif value is not None:
            lines.append(f"{_toml(str(key))} = {_toml(value)}")
    return lines + nested


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return repr(int(value))
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, str | Path):
        # A name on disk need not be valid text; a control character is written as JSON does.
        text = str(value).encode("utf-8", "backslashreplace").decode()
        return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Sequence | set | frozenset):
        ordered = sorted(value) if isinstance(value, set | frozenset) else value
        return f"[{', '.join(_toml(item) for item in ordered)}]"
    raise TypeError(f"a run record cannot hold {value!r}")
