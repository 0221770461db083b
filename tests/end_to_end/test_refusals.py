# SPDX-License-Identifier: Apache-2.0
"""A service refuses what it cannot use, garbage and floods included, and lives on."""

from __future__ import annotations

import struct
import time

import msgpack
import numpy as np
import pytest

from effigy_protocol import PROTOCOL_VERSION, REQUEST_LIMITS
from effigy_protocol.messages import (
    CancelJob,
    Done,
    Error,
    FromLatent,
    FromSeed,
    Identity,
    JobStatus,
    OpenIdentity,
    Ping,
    Pong,
    Release,
    Synthesize,
)


def opening(**source):
    """Returns an OpenIdentity as it travels, whatever its source is."""
    return {"kind": "OpenIdentity", "body": {"source": source}}


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (opening(), "bad-field"),
        (opening(kind="FromSeed", seed=1, latent=0), "bad-field"),
        (opening(kind="FromSeed", seed=-1, seeds=1, truncation=0.7), "bad-field"),
        (opening(kind="FromSeed", seed=2**40, seeds=1, truncation=0.7), "bad-field"),
        (opening(kind="FromSeed", seed=1, seeds=1, truncation=9.0), "bad-field"),
        (opening(kind="FromSeed", seed=1, seeds=0, truncation=0.7), "bad-field"),
        (opening(kind="FromSeed", seed=1, seeds=65, truncation=0.7), "bad-field"),
        (OpenIdentity(FromLatent(b"nonsense")), "bad-field"),
        (Synthesize("nobody", 0.0, 0.0, {}), "unknown-identity"),
        (JobStatus("nothing"), "unknown-job"),
    ],
)
def test_unusable_requests_are_refused_with_a_code_and_a_hint(client, request_, code):
    reply = client.ask(request_)
    assert isinstance(reply, Error)
    assert reply.code == code
    assert reply.hint


def test_work_that_was_never_begun_cannot_be_cancelled(client):
    assert client.ask(CancelJob("nothing")) == Done(0)


def test_garbage_is_refused_and_harms_nobody(client, shared_service, connect):
    vandal = connect(shared_service)
    random = np.random.default_rng(0)
    codes = set()
    for _ in range(200):
        vandal.socket.send_multipart([random.bytes(random.integers(0, 300)) for _ in range(random.integers(1, 6))])
        codes.add(vandal.receive()[1].code)
    version = msgpack.packb({"v": 99, "id": 5, "kind": "Hello", "body": {"client": "x"}, "sizes": []})
    vandal.socket.send_multipart([version])
    answered, reply = vandal.receive()
    assert codes <= {"malformed", "too-large", "version", "unknown-kind", "bad-field"}
    assert (answered, reply.code) == (5, "version")
    assert "update the backend" in reply.message
    assert isinstance(client.ask(Ping()), Pong)


def test_an_oversized_frame_is_cut_off_before_it_is_read(client, shared_service, connect):
    vandal = connect(shared_service)
    vandal.hello()
    vandal.socket.send_multipart([b"x", bytes(REQUEST_LIMITS.frame_bytes + 1)])
    assert not vandal.socket.poll(500)
    assert isinstance(client.ask(Ping()), Pong)


def test_a_field_nested_without_end_is_refused_and_the_service_lives(client, shared_service, connect):
    vandal = connect(shared_service)
    deep = []
    for _ in range(400):
        deep = [deep]
    fields = {"v": PROTOCOL_VERSION, "id": 7, "kind": "Release", "body": {"identity": deep}, "sizes": []}
    vandal.socket.send_multipart([msgpack.packb(fields)])
    answered, reply = vandal.receive()
    assert (answered, reply.code) == (7, "bad-field")
    assert isinstance(client.ask(Ping()), Pong)


def test_every_one_of_very_many_requests_is_answered(shared_service, connect):
    eager = connect(shared_service)
    eager.socket.set_hwm(0)
    eager.hello()
    ids = {eager.send(Ping()) for _ in range(8000)}
    for _ in range(8000):
        ids.discard(eager.receive()[0])
    assert ids == set()


def test_a_latent_with_one_wild_number_opens_a_face_or_is_refused_by_its_field(client):
    latent = bytes(client.ask(OpenIdentity(FromSeed(4))).latent)
    codes = []
    for number in range(0, 512, 8):
        for value in (3e38, -1e30, 10.0, float("nan")):
            wild = bytearray(latent)
            struct.pack_into("<f", wild, 12 + 4 * (number % ((len(latent) - 12) // 4)), value)
            reply = client.ask(OpenIdentity(FromLatent(bytes(wild))))
            codes.append(reply.code if isinstance(reply, Error) else "opened")
            if isinstance(reply, Identity):
                client.ask(Release(reply.identity))
    assert set(codes) == {"opened", "bad-field"}, "a reply that nobody may send, or a backend that failed"
    assert codes.count("bad-field") > len(codes) / 4


def test_messages_of_too_many_frames_are_refused_and_leave_no_memory_behind(client, shared_service, connect):
    import psutil

    vandal = connect(shared_service)
    vandal.hello()
    process = psutil.Process(shared_service.process.pid)
    before = process.memory_info().rss
    for _ in range(5):
        vandal.socket.send_multipart([bytes(2**20)] * 40)
        assert vandal.receive()[1].code == "too-large"
        asked = vandal.send({"kind": "Ping", "body": {}}, [bytes(2**20)] * 33)
        answered, reply = vandal.receive()
        assert (answered, reply.code) == (asked, "too-large")
    assert isinstance(client.ask(Ping()), Pong)
    time.sleep(0.2)
    assert process.memory_info().rss - before < 200 * 2**20


@pytest.mark.parametrize("change", [{"share": 1.5}, {"share": -0.1}, {"other": 1, "share": 0.5}])
def test_a_mixture_of_nothing_is_refused(client, change):
    latent = bytes(client.ask(OpenIdentity(FromSeed(4))).latent)
    mixture = {"kind": "Mix", "latent": 0, "other": 0, "model": None, **change}
    reply = client.ask(opening(**mixture), [latent, b"no latent"])
    assert isinstance(reply, Error)
    assert reply.code == "bad-field"
