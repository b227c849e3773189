"""The habits of the house, as far as a machine can see them."""

import ast
import builtins
import re
import subprocess
import symtable
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import cryomix

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = [
    path
    for folder in ("tests", "benchmarks", "fuzz")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
PAGE = sorted((ROOT / "viewer-ui" / "src").iterdir())
TEXTS = [
    *SOURCES, *TESTS, *PAGE, ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / "CITATION.cff",
    *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"),
]  # fmt: skip

KNOWN_HOSTS = {"keepachangelog.com", "semver.org", "doi.org", "github.com", "evil.example"}


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [*SOURCES, *TESTS, *PAGE], ids=name_of)
def test_a_file_has_at_most_400_lines(path):
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_function_has_at_most_60_lines(path):
    lengths = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: length for name, length in lengths.items() if length > 60} == {}


def test_modules_are_named_after_nouns():
    role_words = {"utils", "util", "helpers", "common", "misc", "core", "base", "manager"}
    names = {part for path in SOURCES for part in (path.stem, path.parent.name)}
    assert names & role_words == set()


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_annotations_are_evaluated(path):
    """The shape checker cannot read postponed annotations."""
    assert "from __future__ import annotations" not in path.read_text()


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_module_says_what_it_is_about_in_one_sentence(path):
    summary = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n")[0]
    assert summary.endswith(".")
    assert len(summary) <= 110


@pytest.mark.parametrize("path", [path for path in TEXTS if path != Path(__file__)], ids=name_of)
def test_nothing_of_one_machine_or_one_day_is_left(path):
    text = path.read_text()
    assert re.findall(r"\b(?:TODO|FIXME|XXX|HACK)\b", text) == []
    folders = set(re.findall(r"(?:^|[\s\"'(`=])(/\w+)/[\w.]+", text)) - {"/dev", "/proc", "/usr"}
    assert [folder for folder in folders if Path(folder).is_dir()] == []
    hosts = set(re.findall(r"https?://([^/\s)>\"']+)", text))
    assert {host for host in hosts if "{" not in host} <= KNOWN_HOSTS
    assert re.findall(r"\bissue #?\d", text, re.IGNORECASE) == []


def test_nothing_is_unpickled():
    """Pickles are never read: a file may not run code."""
    for path in SOURCES:
        text = path.read_text()
        assert not re.search(r"\bpickle\.loads?\b|allow_pickle=True|weights_only=False", text), path
        assert not re.search(r"torch\.load\((?![^)]*weights_only=True)", text), path


def test_the_readme_is_short_and_shows_its_figure():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 110
    assert "make demo" in text
    assert "make test" in text
    for figure in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
        assert (ROOT / figure).is_file()


def test_every_convention_has_its_test():
    page = (ROOT / "docs" / "conventions.md").read_text()
    sentences = re.findall(r"^\d+\. (.+)$", page, re.MULTILINE)
    module = ast.parse((ROOT / "tests" / "test_conventions.py").read_text())
    quoted = [
        ast.get_docstring(node)
        for node in module.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert quoted == sentences


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=name_of)
def test_every_name_is_defined(path):
    """Linters cannot tell them from the names of dimensions in shapes, which are strings."""
    module = symtable.symtable(path.read_text(), str(path), "exec")
    known = {symbol.get_name() for symbol in module.get_symbols() if symbol.is_assigned()}
    known |= {symbol.get_name() for symbol in module.get_symbols() if symbol.is_imported()}
    known |= {*dir(builtins), "__file__", "__name__"}
    tables, unknown = [module], set()
    while tables:
        table = tables.pop()
        tables += table.get_children()
        used = (symbol for symbol in table.get_symbols() if symbol.is_referenced())
        unknown |= {symbol.get_name() for symbol in used if symbol.is_global()} - known
    assert unknown == set()


def test_decisions_are_numbered_and_short():
    records = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    numbers = [int(path.name[:4]) for path in records]
    assert numbers == list(range(1, len(records) + 1))
    for path in records:
        text = path.read_text()
        assert text.startswith(f"# {path.name[:4]} ")
        assert len(text.splitlines()) <= 60
        assert [
            word for word in ("Context", "Decision", "Cost") if f"**{word}.**" not in text
        ] == []


def test_the_public_names_are_listed_once_and_load():
    module = ast.parse((ROOT / "src" / "cryomix" / "__init__.py").read_text())
    guarded = next(node for node in module.body if isinstance(node, ast.If))
    imported = {
        alias.name: node.module
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == cryomix._MODULE_OF
    assert sorted(imported) == cryomix.__all__
    for name in cryomix.__all__:
        assert getattr(cryomix, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = cryomix.nothing


def test_versions_agree():
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert cryomix.__version__ == stated == version("cryomix")
    assert f"version: {stated}" in (ROOT / "CITATION.cff").read_text()


def test_scripts_are_executable():
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    assert subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=False).returncode == 0
