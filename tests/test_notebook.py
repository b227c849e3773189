"""The notebook's module without what it needs, and without a job."""

import importlib
import sys

import pytest

from cryomix.errors import CheckpointError, OptionError


def test_a_missing_package_is_named_in_one_line(monkeypatch):
    for name in ("cryomix.notebook", "cryomix.viewer.widget"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(OptionError) as caught:
        importlib.import_module("cryomix.notebook")
    assert str(caught.value) == (
        "cryomix.notebook needs anywidget, got none; pip install 'cryomix[notebook]'"
    )


def test_a_folder_that_is_no_job_is_named(tmp_path):
    pytest.importorskip("anywidget", reason="cryomix[notebook] is not installed")
    from cryomix.notebook import Explorer

    with pytest.raises(CheckpointError, match="there is no such job folder"):
        Explorer(tmp_path / "job")
