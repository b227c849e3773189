"""What the widget says to its pages, and what Python and they share; without a browser."""

import base64
import json
import queue
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cryomix.errors import OptionError
from cryomix.files.checkpoint import write_array
from cryomix.viewer.frames import Asked, write_answer

pytest.importorskip("anywidget", reason="cryomix[notebook] is not installed")

from cryomix.notebook import Explorer

PAGE = Path(__file__).resolve().parents[2] / "docs" / "notebook.md"


class Desk:
    """A page's end of the comm."""

    def __init__(self, widget):
        self.widget = widget
        self.heard = queue.Queue()
        widget.send = lambda content, buffers=(): self.heard.put((content, list(buffers)))

    def ask(self, what, frame=None, view="a", **content):
        buffers = [] if frame is None else [memoryview(frame)]
        self.widget._handle_custom_msg({"view": view, "what": what, **content}, buffers)

    def hear(self):
        return self.heard.get(timeout=20)

    def text(self):
        return json.loads(self.hear()[0]["text"])


@pytest.fixture
def desk(job):
    widget = Explorer(job.path)
    yield Desk(widget)
    widget.close()


def question(number, version, *latent):
    head = struct.pack("<IIBBBB", number, version, Asked.LATENT, 0, 0, 0)
    return head + np.float32(latent).tobytes()


def bits(rows, count=3000):
    chosen = np.zeros(count, bool)
    chosen[rows] = True
    return np.packbits(chosen, bitorder="little").tobytes()


def test_a_page_that_comes_is_told_of_the_job_and_of_the_state(desk):
    desk.widget.selection = [5, 3]
    desk.hear()
    desk.ask("hello")
    content, _ = desk.hear()
    assert content["view"] == "a"
    assert json.loads(content["text"])["job"]["particles"] == 3000
    assert desk.hear() == ({"view": "a", "put": "chosen"}, [bits([3, 5])])
    assert desk.heard.empty()  # the neutral model is where a page begins


def test_answers_come_in_order_and_are_what_the_decoder_says(desk, arm):
    desk.ask("hello")
    version = desk.text()["job"]["version"]
    places = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    for number, place in enumerate(places):
        desk.ask("frame", question(number, version, *place))
    for number, place in enumerate(places):
        content, (frame,) = desk.hear()
        assert content == {"view": "a"}
        model = arm.decode(torch.from_numpy(place)[None])[0]
        reach = struct.unpack_from("<f", frame, 12)[0]
        assert frame == write_answer(number, place, model, reach)


def test_what_no_page_of_ours_sends_is_told_and_ends_nothing(desk):
    desk.ask("frame", b"123")
    assert desk.hear()[0] == {"view": "a", "failed": "ValueError: a question of 3 bytes is none"}
    desk.ask("read", id=1, path="history")
    assert json.loads(desk.hear()[1][0]) == {}


def test_columns_are_read_by_name(desk):
    desk.ask("read", id=7, path="columns/cluster")
    content, (column,) = desk.hear()
    assert content == {"view": "a", "id": 7}
    assert set(np.frombuffer(column, "<f4")) == {1, 2}
    desk.ask("read", id=8, path="maps")
    assert json.loads(desk.hear()[1][0]) == {"maps": [], "curves": []}
    desk.ask("read", id=8, path="groups/cluster")
    assert "names" in json.loads(desk.hear()[1][0])
    desk.ask("read", id=8, path="columns/%63luster")  # as a page writes names into addresses
    assert desk.hear()[1] == [column]
    for path in ("columns/nothing", "maps/../../x", "elsewhere", ""):
        desk.ask("read", id=9, path=path)
        assert desk.hear()[0]["error"] == f"{path}: this job has none"


def test_what_is_asked_for_is_done(desk, job):
    desk.ask("text", text=json.dumps({"id": 3, "do": "nearest", "latent": [0, 0, 0], "count": 9}))
    told = desk.text()
    assert told["id"] == 3
    assert sum(byte.bit_count() for byte in base64.b64decode(told["rows"])) == 9
    desk.ask("text", text=json.dumps({"id": 4, "do": "keep", "name": "nine", "rows": told["rows"]}))
    assert str(job.selections / "nine.star") in desk.text()["commands"][0]
    assert len(np.load(job.selections / "nine.npy")) == 9


def test_the_selection_is_set_by_rows_or_by_a_mask(desk, job):
    seen = []
    desk.widget.observe(lambda change: seen.append(change["new"]), "selection")
    mask = np.load(job.latents)[:, 0] > 1
    for given, rows in (
        ([9, 2, 9], [2, 9]),
        (mask, np.flatnonzero(mask)),
        (np.zeros(3000, bool), []),
        (range(3), [0, 1, 2]),
        ([], []),
    ):
        desk.widget.selection = given
        assert desk.widget.selection.tolist() == list(rows)
        assert desk.hear() == ({"put": "chosen", "but": ""}, [bits(rows)])
    assert len(seen) == 5
    for wrong, told in (
        ([3000], "rows of 3000 particles go from 0 to 2999, got 3000 to 3000"),
        ([-1], "got -1 to -1"),
        ([0.5], "rows or a mask of 3000 particles, got float64"),
        (np.zeros(9, bool), "got bool of shape"),
        ([[1]], "got int64 of shape"),
    ):
        with pytest.raises(OptionError, match=told):
            desk.widget.selection = wrong
    assert desk.widget.selection.size == 0
    desk.widget.selection = [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        desk.widget.selection[0] = 9


def test_the_latent_is_set_and_decodes_to_the_model(desk, arm):
    desk.widget.latent = [0.5, -0.25, 1]
    assert desk.hear() == ({"put": "shown", "but": ""}, [np.float32([0.5, -0.25, 1]).tobytes()])
    wanted = arm.decode(torch.tensor([[0.5, -0.25, 1]]))[0]
    assert torch.equal(desk.widget.model().center, wanted.center)
    for wrong in ([1, 2], [1, 2, np.nan], 3.0, [[1, 2, 3]]):
        with pytest.raises(OptionError, match="latent must be 3 finite numbers"):
            desk.widget.latent = wrong


def test_what_a_page_does_is_known_to_python_and_to_its_other_pages(desk):
    desk.ask("shown", np.float32([1, 2, 3]).tobytes(), view="b")
    assert desk.widget.latent.tolist() == [1, 2, 3]
    assert desk.hear()[0] == {"put": "shown", "but": "b"}
    desk.ask("chosen", bits([4, 2999]), view="b")
    assert desk.widget.selection.tolist() == [4, 2999]
    assert desk.hear()[0] == {"put": "chosen", "but": "b"}
    desk.ask("shown", np.float32([1, 2]).tobytes(), view="b")  # of a job that has changed since
    desk.ask("chosen", bits([3100], 3200), view="b")
    assert desk.widget.latent.tolist() == [1, 2, 3]
    assert desk.widget.selection.tolist() == [4, 2999]


def test_new_results_are_told_while_a_page_looks(desk, job):
    desk.ask("hello")
    before = desk.text()["job"]
    job.clusters.unlink()
    after = desk.text()["job"]
    assert after["version"] != before["version"]
    assert "cluster" not in [column["name"] for column in after["columns"]]


def test_a_job_of_other_latents_begins_anew(desk, job):
    desk.ask("hello")
    desk.text()
    desk.widget.latent, desk.widget.selection = [1, 0, 0], [2999]
    for path in (job.clusters, job.umap, job.latent_std, job.particles(Path("a.star"))):
        path.unlink()
    write_array(job.latents, np.zeros((2000, 3), np.float32))
    until = time.monotonic() + 20
    while desk.widget.selection.size and time.monotonic() < until:
        time.sleep(0.05)
    assert desk.widget.selection.size == 0
    assert desk.widget.latent.tolist() == [0, 0, 0]


def test_a_job_in_training_has_nothing_to_choose(bare_job):
    bare_job.model.unlink()
    desk = Desk(Explorer(bare_job.path))
    assert desk.widget.latent.size == desk.widget.selection.size == 0
    with pytest.raises(OptionError, match="latent must be 0 finite numbers"):
        desk.widget.latent = [0, 0, 0]
    with pytest.raises(ValueError, match="no model yet"):
        desk.widget.model()
    desk.widget.close()


def test_the_example_of_the_documents_runs(job, monkeypatch):
    monkeypatch.chdir(job.path.parent)
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    code = "\n".join(line[4:] for line in lines if line.startswith("    ") and "pip " not in line)
    names = {}
    exec(compile(code, PAGE.name, "exec"), names)  # our own text
    assert (np.load(job.clusters)[names["explorer"].selection] == 1).all()
    np.testing.assert_allclose(
        names["explorer"].latent, np.load(job.latents)[names["explorer"].selection].mean(0)
    )
    names["explorer"].close()


def test_models_are_decoded_by_one_thread_and_the_notebook_keeps_its_own(desk, monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        decoding = desk.widget._session.snapshot.decoding
        used = []

        def decode(latent):
            used.append(torch.get_num_threads())
            return decoding.decode(latent)

        monkeypatch.setattr(
            type(desk.widget._session.snapshot), "decoding", replace(decoding, decode=decode)
        )
        desk.ask("hello")
        version = desk.text()["job"]["version"]
        desk.ask("frame", question(1, version, 0, 0, 0))
        desk.hear()
        assert used == [1]
        assert torch.get_num_threads() == 2
        with ThreadPoolExecutor(1) as later:
            assert later.submit(torch.get_num_threads).result() == 2
    finally:
        torch.set_num_threads(before)
