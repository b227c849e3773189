"""A strict reader of the few ChimeraX commands and BILD lines that cryomix writes.

Keywords, their types and which come without a name are those that ChimeraX registers for these
commands; whatever is not listed here is an error, although ChimeraX may know it.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

_NUMBER = r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
_VALUES = {
    "bool": r"true|false",
    "int": r"\d+",
    "float": _NUMBER,
    "color": r"#[0-9a-f]{6}",
    "style": r"surface|mesh|image",
    "direction": r"forward|backward|oscillate",
    "targets": r"[abcprs]+",
}
_KEYWORDS = {
    "volume": {"style": "style", "step": "int", "level": "float", "color": "color"},
    "volume morph": {"frames": "int", "playStep": "float"},
    "vseries play": {"loop": "bool", "direction": "direction", "maxFrameRate": "float"},
    "vseries stop": {},
    "transparency": {"target": "targets"},
}


@dataclass
class Session:
    """What ChimeraX would hold: maps of each series, files, and named views."""

    models: dict[int, list[Path]] = field(default_factory=dict)
    views: set[str] = field(default_factory=set)
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    played: list[str] = field(default_factory=list)

    def run(self, script: Path) -> None:
        """ChimeraX runs a script in the folder where that lies."""
        for line in script.read_text(encoding="utf-8").splitlines():
            assert line == line.strip()
            if not line.startswith("#"):
                self._command(line, script.parent)

    def _command(self, line: str, folder: Path) -> None:
        word, *rest = line.split(" ")
        two = " ".join([word, *rest[:1]])
        if line == "close":
            self.models.clear()
        elif word == "open":
            self._open(rest, folder)
        elif two in _KEYWORDS:
            self._with_keywords(two, rest[1:])
        elif word in _KEYWORDS:
            self._with_keywords(word, rest)
        elif word == "view":
            if rest[:1] == ["name"]:
                assert re.fullmatch(r"[a-z]+", rest[1])
                self.views.add(rest[1])
            else:
                assert set(rest) <= self.views
        else:
            assert line in ("lighting soft", "set bgColor white"), line

    def _open(self, rest: list[str], folder: Path) -> None:
        name, *keywords = rest
        assert not Path(name).is_absolute()
        assert ".." not in name
        files = sorted(folder.glob(name))
        assert files, name
        if keywords:
            assert keywords == ["vseries", "true"]
            assert len(files) > 1
        else:
            assert len(files) == 1
        self.models[max(self.models, default=0) + 1] = files

    def _with_keywords(self, command: str, rest: list[str]) -> None:
        spec, *words = rest
        match = re.fullmatch(r"#(\d+)(?:\.(\d+)-(\d+))?", spec)
        assert match, spec
        maps = self.models[int(match[1])]
        if match[2]:
            assert (int(match[2]), int(match[3])) == (1, len(maps))
        if command == "transparency":
            assert 0 <= float(words.pop(0)) <= 100
        kinds = _KEYWORDS[command]
        assert len(words) % 2 == 0, words
        given = dict(zip(words[::2], words[1::2], strict=True))
        for name, value in given.items():
            assert re.fullmatch(_VALUES[kinds[name]], value), (name, value)
        self.values[command] = given
        self.played.append(command)


def read_bild(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start and end of each arrow, Å, and its color."""
    start, end, colors = [], [], []
    color: list[float] | None = None
    for line in path.read_text(encoding="utf-8").splitlines():
        word, *rest = line.split(" ")
        if word == ".comment":
            continue
        numbers = [float(value) for value in rest]
        assert np.isfinite(numbers).all()
        if word == ".color":
            assert len(numbers) == 3
            assert 0 <= min(numbers) <= max(numbers) <= 1
            color = numbers
            continue
        assert word == ".arrow"
        assert len(numbers) == 9
        shaft, head, share = numbers[6:]
        assert 0 < shaft < head
        assert 0 < share < 1
        assert color is not None
        start.append(numbers[:3])
        end.append(numbers[3:6])
        colors.append(color)
    return np.array(start), np.array(end), np.array(colors)
