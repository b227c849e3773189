"""A job that changes while it is looked at."""

import asyncio
import json
import struct
import time
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("uvicorn", reason="cryomix[view] is not installed")

from websockets.sync.client import connect

from cryomix.commands.exploration import read_exploration
from cryomix.files.checkpoint import write_array
from cryomix.viewer.frames import Asked
from cryomix.viewer.session import Session


def question(told, kind, columns, *values):
    return struct.pack(f"<IIBBBB{len(values)}f", 1, told["version"], kind, *columns, 0, *values)


@pytest.fixture
def session(bare_job) -> Session:
    return Session(read_exploration(bare_job), lambda task: None)


@contextmanager
def page_of(address):
    """A WebSocket as a page has it, and what it is told first."""
    place = address.removeprefix("http://")
    origin = f"http://{place.split('/')[0]}"
    with connect(f"ws://{place}talk", origin=origin, proxy=None) as socket:
        yield socket, hear(socket)


def hear(socket):
    return json.loads(socket.recv(timeout=20))["job"]


def look(session):
    return asyncio.run(session.renew())


def names(told):
    return [column["name"] for column in told["columns"]]


def test_a_job_is_read_anew_once_it_has_changed_and_rests(session, bare_job):
    before = session.describe()
    assert [look(session) for _ in range(3)] == [False] * 3
    write_array(bare_job.clusters, np.zeros(3000, np.int64))
    assert not look(session)  # it may be written still
    assert session.describe() == before
    assert look(session)
    after = session.describe()
    assert after["version"] != before["version"]
    assert after["server"] == before["server"]
    assert set(names(after)) - set(names(before)) == {"cluster"}
    assert not look(session)
    assert session.column_bytes("cluster") == np.ones(3000, "<f4").tobytes()


def test_nothing_is_read_while_files_are_being_written(session, bare_job):
    part = bare_job.path / ".particles.star.7.part"
    write_array(bare_job.clusters, np.zeros(3000, np.int64))
    for size in range(4):
        part.write_bytes(b"x" * size)
        assert not look(session)
    assert look(session)  # it does not grow: its program was killed
    assert "cluster" in names(session.describe())
    version = session.describe()["version"]
    part.unlink()
    assert [look(session), look(session)] == [False, False]
    assert session.describe()["version"] == version


def test_results_that_do_not_fit_are_told_and_all_stays_as_it_was(session, bare_job):
    before = session.describe()
    write_array(bare_job.clusters, np.zeros(2999, np.int64))
    assert [look(session), look(session)] == [False, True]
    told = session.describe()
    assert "new results cannot be read: " in told["problem"]
    assert "each of 3000 particles, got int64 of shape (2999,)" in told["problem"]
    assert {**told, "problem": ""} == before
    assert [look(session), look(session)] == [False, False]  # not again and again
    write_array(bare_job.clusters, np.zeros(3000, np.int64))
    assert [look(session), look(session)] == [False, True]
    assert session.describe()["problem"] == ""
    assert "cluster" in names(session.describe())


def test_a_new_map_is_told_without_reading_the_job(session, bare_job):
    before = session.describe()
    bare_job.volumes.mkdir()
    (bare_job.volumes / "cluster01.mrc").write_bytes(b"a map, once it is asked for")
    assert [look(session), look(session)] == [False, True]
    assert session.describe() == {**before, "maps": before["maps"] + 1}
    assert session.map_names() == {"maps": ["cluster01"], "curves": []}


def test_a_model_that_takes_the_place_of_another_is_decoded(session, bare_job, arm, monkeypatch):
    told = session.describe()
    latent = np.load(bare_job.latents)[:2000, :2]
    flat = replace(arm, settings=SimpleNamespace(latent_size=2, grid=arm.settings.grid))
    monkeypatch.setattr("cryomix.files.training.read_model", lambda path: flat)
    write_array(bare_job.latents, latent)
    assert [look(session), look(session)] == [False, True]
    new = session.describe()
    assert (new["particles"], new["latents"]) == (2000, 2)
    stale = asyncio.run(session.answer(question(told, Asked.LATENT, (0, 0), 0, 0, 0)))
    assert struct.unpack_from("<III", stale) == (1, 0, 0)
    assert len(stale) == 16
    answer = asyncio.run(session.answer(question(new, Asked.LATENT, (0, 0), 0.5, 0)))
    model = flat.decode(torch.tensor([[0.5, 0]]))[0]
    assert answer[16 + 8 :][: 4 * 180] == model.center.numpy().astype("<f4").tobytes()
    told = asyncio.run(session.act({"do": "nearest", "latent": [0, 0], "count": 2000}))
    assert len(told["rows"]) == -(-250 // 3) * 4  # 2000 bits in base64


def test_neighbours_are_kept_only_while_the_latents_are_the_same(session, bare_job):
    asyncio.run(session.prepare())
    found = asyncio.run(session.snapshot.everyone())
    write_array(bare_job.clusters, np.zeros(3000, np.int64))
    look(session)
    look(session)
    assert asyncio.run(session.snapshot.everyone()) is found
    write_array(bare_job.latents, 2 * np.load(bare_job.latents))
    look(session)
    look(session)
    assert asyncio.run(session.snapshot.everyone()) is not found


def test_every_page_is_told_and_no_old_question_gets_a_wrong_column(serve, bare_job, monkeypatch):
    """A UMAP moves the latents two places down the list of columns."""
    monkeypatch.setattr("cryomix.viewer.server._LOOK_EVERY", 0.05)
    address = serve(bare_job)
    with page_of(address) as (first, before), page_of(address) as (second, same):
        assert same == before
        place = names(before).index("latent1")
        umap = np.random.default_rng(2).normal(size=(3000, 2)).astype(np.float32)
        write_array(bare_job.umap, umap)
        after = hear(first)
        assert hear(second) == after
        assert names(after).index("latent1") == place + 2
        first.send(question(before, Asked.IN_PLANE, (place, place + 1), 0.5, 0.25))
        assert struct.unpack_from("<III", first.recv(timeout=10)) == (1, 0, 0)
        first.send(question(after, Asked.IN_PLANE, (place + 2, place + 3), 0.5, 0.25))
        found = np.frombuffer(first.recv(timeout=10), "<f4", 3, 16)
        np.testing.assert_allclose(found[:2], [0.5, 0.25], atol=1e-6)


def test_a_page_that_comes_back_is_told_of_the_tasks(serve, job):
    address, rows = serve(job), "AQAA" + "A" * 496
    with page_of(address) as (page, before):
        page.send(json.dumps({"id": 1, "do": "rebuild", "name": "first", "rows": rows}))
        while "id" not in (told := json.loads(page.recv(timeout=20))):
            pass
        assert "commands" in told
    until, state = time.monotonic() + 30, "running"
    while state == "running" and time.monotonic() < until:
        with page_of(address) as (page, again):
            [task] = again["tasks"]
        state = task["state"]
        time.sleep(0.2)
    assert again["server"] == before["server"]
    assert state == "failed"  # the star file of this job names images that are not there
    assert task["line"].startswith("cryomix: ")
