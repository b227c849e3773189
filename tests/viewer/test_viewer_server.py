"""The server: who may talk to it, and what it answers."""

import base64
import hmac
import http.client
import json
import struct
from contextlib import contextmanager
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch

from cryomix.viewer.frames import Asked

pytest.importorskip("uvicorn", reason="cryomix[view] is not installed")

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect


def get(address, path="", **headers):
    """Status, headers and body; `path` is not normalised."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    connection.putrequest("GET", parts.path + path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


@contextmanager
def talk(address, origin=None):
    """A WebSocket as a page has it, and what it is told of the job first."""
    parts = urlsplit(address)
    own = f"http://{parts.netloc}" if origin is None else origin
    with connect(f"ws://{parts.netloc}{parts.path}talk", origin=own or None, proxy=None) as socket:
        yield socket, json.loads(socket.recv(timeout=10))["job"]


def question(number, version, kind, columns, *values):
    return struct.pack(f"<IIBBBB{len(values)}f", number, version, kind, *columns, 0, *values)


def read(answer):
    """Number, latent, reach, and the bytes of the Gaussians."""
    number, gaussians, size, reach = struct.unpack_from("<IIIf", answer)
    assert len(answer) == 16 + 4 * (size + 5 * gaussians)
    return number, np.frombuffer(answer, "<f4", size, 16), reach, answer[16 + 4 * size :]


def parts_of(model):
    parts = (model.center[0], model.amplitude[0], model.width[0])
    return b"".join(part.numpy().astype("<f4").tobytes() for part in parts)


def test_only_its_own_page_with_the_token_is_served(serve, job):
    address = serve(job)
    parts = urlsplit(address)
    status, headers, body = get(address)
    assert status == 200
    assert b"viewer.js" in body
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert get(address, Origin=f"http://{parts.netloc}")[0] == 200
    assert get(address, Host="localhost:9999")[0] == 200  # as behind ssh -L
    for refused in (
        get(address, Host="evil.example"),
        get(address, Host=f"evil.example:{parts.port}"),
        get(address, Origin="http://evil.example"),
        get(address, Origin="null"),
        get(address, "job", Origin="http://evil.example"),
        get(address.replace("a-token", "b-token")),
        get(address.replace("a-token", "b-token"), "job"),
        get(f"http://{parts.netloc}/"),
        get(f"http://{parts.netloc}/", "columns/pca1"),
    ):
        assert refused[0] == 403


def test_a_challenge_is_answered_by_what_only_the_token_gives(serve, job):
    address = serve(job)
    root = f"http://{urlsplit(address).netloc}/"
    told = {word: get(root, f"proof/{word}")[2].decode() for word in ("one", "two")}
    token = address.split("/")[-2]
    for word, answer in told.items():
        wanted = hmac.digest(token.encode(), f"cryomix view {word}".encode(), "sha256")
        assert answer == wanted.hex()
        assert token not in answer
    assert get(root, "proof/one", Host="evil.example")[0] == 403
    assert get(root, "proof/one", Origin="http://evil.example")[0] == 403


@pytest.mark.parametrize(
    "path", ["../session.py", "..%2fsession.py", "columns/../../latents.npy", "%2e%2e/job", "x.js"]
)
def test_no_address_leads_to_another_file(serve, job, path):
    assert get(serve(job), path)[0] in (403, 404)


def test_a_websocket_must_be_of_the_page(serve, job):
    address = serve(job)
    for refused in ({"origin": "http://evil.example"}, {"origin": ""}):
        with pytest.raises((InvalidStatus, ConnectionClosed)), talk(address, **refused):
            pass
    wrong = address.replace("a-token", "b-token")
    with pytest.raises((InvalidStatus, ConnectionClosed)), talk(wrong):
        pass


def test_answers_come_in_order_and_are_what_the_decoder_says(serve, job, arm):
    latent = np.load(job.latents)
    with talk(serve(job)) as (socket, told):
        names, version = [column["name"] for column in told["columns"]], told["version"]
        axes = (names.index("latent1"), names.index("latent3"))
        socket.send(question(1, version, Asked.LATENT, (0, 0), 0.5, -0.25, 1))
        socket.send(question(2, version, Asked.IN_PLANE, axes, 0.4, -0.1))
        socket.send(question(3, version, Asked.AMONG_PARTICLES, axes, 0.4, -0.1))
        told = [read(socket.recv(timeout=10)) for _ in range(3)]
    assert [number for number, *_ in told] == [1, 2, 3]
    assert told[0][1].tolist() == [0.5, -0.25, 1]
    np.testing.assert_allclose(told[1][1], [0.4, latent[:, 1].mean(), -0.1], atol=1e-6)
    distance = np.hypot(latent[:, 0] - 0.4, latent[:, 2] + 0.1)
    near = latent[np.argsort(distance)[:50]].mean(0)
    np.testing.assert_allclose(told[2][1], near, atol=1e-5)
    for _, found, _, gaussians in told:
        assert gaussians == parts_of(arm.decode(torch.from_numpy(found.copy())[None]))


@pytest.mark.parametrize(
    "frame", [b"", b"123", (9, (0, 0), 1, 1), (Asked.LATENT, (0, 0), 1.0),
              (Asked.IN_PLANE, (0, 250), 1, 1), (Asked.LATENT, (0, 0), 1, float("nan"), 1),
              "not json", "[1]"],
)  # fmt: skip
def test_a_frame_that_is_no_question_ends_the_talk_and_not_the_server(serve, job, frame):
    address = serve(job)
    with talk(address) as (socket, told):
        is_question = isinstance(frame, tuple)
        socket.send(question(1, told["version"], *frame) if is_question else frame)
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=10)
    assert get(address)[0] == 200


def test_columns_are_those_of_the_job(serve, job):
    address = serve(job)
    for name, values in (
        ("cluster", np.load(job.clusters) + 1),
        ("umap2", np.load(job.umap)[:, 1]),
        ("rlnDefocusU", 9000 + np.arange(3000)),
        ("uncertainty", np.full(3000, 0.1)),
    ):
        found = np.frombuffer(get(address, f"columns/{name}")[2], "<f4")
        np.testing.assert_allclose(found, values, rtol=1e-6)
    assert get(address, "columns/nothing")[0] == 404


def test_selections_are_written_once_and_only_into_the_job(serve, job):
    bits = np.zeros(3000, bool)
    bits[[2, 70, 2999]] = True
    rows = base64.b64encode(np.packbits(bits, bitorder="little")).decode()

    with talk(serve(job)) as (socket, told):

        def act(**message):
            socket.send(json.dumps({"id": 1, **message}))
            return json.loads(socket.recv(timeout=20))

        assert "commands" in act(do="keep", name="three", rows=rows)
        for name in ("../out", "a/b", "/x", "", ".hidden", "a" * 65):
            assert "a name must be" in act(do="keep", name=name, rows=rows)["error"]
        other = base64.b64encode(np.packbits(~bits, bitorder="little")).decode()
        assert "choose another" in act(do="keep", name="three", rows=other)["error"]
        assert "375 bytes" in act(do="keep", name="short", rows="AAAA")["error"]
        stale = told["version"] ^ 1
        assert act(do="pulse", version=stale) == {"id": 1}
        assert "new results" in act(do="keep", name="late", rows=rows, version=stale)["error"]
        assert "nothing that can be done" in act(do="delete", name="three")["error"]
        assert "at least 1" in act(do="nearest", latent=[0, 0, 0], count=0)["error"]
    assert np.load(job.selections / "three.npy").tolist() == [2, 70, 2999]
    assert sorted(path.name for path in job.selections.iterdir()) == [
        "three.npy", "three.star", "three.states.npy"
    ]  # fmt: skip
