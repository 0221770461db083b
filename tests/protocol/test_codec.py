# SPDX-License-Identifier: Apache-2.0
"""Decoding undoes encoding, and nothing but ProtocolError ever comes of bad bytes."""

from __future__ import annotations

import dataclasses
from typing import get_args

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effigy_protocol import (
    PROTOCOL_VERSION,
    REQUEST_LIMITS,
    Limits,
    ProtocolError,
    decode_reply,
    decode_request,
    encode,
)
from effigy_protocol.limits import MAX_ITEMS, MAX_TEXT
from effigy_protocol.messages import (
    ANSWER_OF,
    Array,
    Error,
    FromLatent,
    FromSeed,
    Job,
    OpenIdentity,
    Ping,
    Reply,
    Request,
    Synthesize,
)
from effigy_protocol.schema import pack

from .strategies import messages, replies, request_ids, requests


@given(request_ids, requests)
def test_decoding_a_request_gives_it_back(request_id, message):
    envelope = decode_request(encode(request_id, message))
    assert envelope.id == request_id
    assert envelope.message == message


@given(request_ids, replies)
def test_decoding_a_reply_gives_it_back(request_id, message):
    envelope = decode_reply(encode(request_id, message))
    assert envelope.id == request_id
    assert envelope.message == message


KINDS = [*get_args(Request), *get_args(Reply)]
BROKEN = [
    float("nan"), float("inf"), -float("inf"), 2**63, -(2**70), True, None, 3, 2.5, "text", b"", "x" * (MAX_TEXT + 1),
    "\ud800", ("a",) * (MAX_ITEMS + 1), {str(number): 0.0 for number in range(MAX_ITEMS + 1)}, {1: 0.0}, (), {},
    ("y" * MAX_TEXT,) * 40, bytes(REQUEST_LIMITS.frame_bytes + 1), object(), frozenset(), (b"",) * 9,
]  # fmt: skip


def frames_of(message):
    """The frames of a message, unchecked: what a sender without rules would send."""
    payload = []
    body = pack(message, payload)
    sizes = [len(frame) for frame in payload]
    fields = {"v": PROTOCOL_VERSION, "id": 1, "kind": type(message).__name__, "body": body, "sizes": sizes}
    return [msgpack.packb(fields), *payload]


def refusal(work):
    try:
        work()
    except ProtocolError as error:
        return error.code
    except (TypeError, ValueError, OverflowError):  # nothing that can travel
        return "bad-field"
    return None


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.large_base_example, HealthCheck.data_too_large])
def test_encoding_refuses_exactly_what_decoding_refuses(kind, data):
    message = data.draw(messages(kind))
    names = [field.name for field in dataclasses.fields(kind)]
    if names:
        object.__setattr__(message, data.draw(st.sampled_from(names)), data.draw(st.sampled_from(BROKEN)))
    decode = decode_request if kind in get_args(Request) else decode_reply
    refused = refusal(lambda: decode(frames_of(message)))
    assert refusal(lambda: encode(1, message)) == refused
    if refused is None:
        assert decode(encode(1, message)).message == decode(frames_of(message)).message


@pytest.mark.parametrize("request_id", [-1, 2**63, 2**64, None, 1.0, True])
def test_an_id_that_nobody_may_send_is_refused_by_the_sender(request_id):
    with pytest.raises(ProtocolError):
        encode(request_id, Ping())


def test_every_request_has_its_answer():
    assert set(ANSWER_OF) == set(get_args(Request))
    answers = {answer for answers in ANSWER_OF.values() for answer in answers}
    assert answers | {Error, Job} == set(get_args(Reply)), "a Job may answer what begins long work"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), "1", True, None])
def test_a_number_must_be_a_finite_number(value):
    frames = encode(3, Synthesize("a", 0.0, 0.0, {}))
    fields = msgpack.unpackb(frames[0])
    fields["body"]["yaw"] = value
    with pytest.raises(ProtocolError, match=r"Synthesize\.yaw"):
        decode_request([msgpack.packb(fields)])


def test_an_array_must_have_the_bytes_of_its_shape():
    with pytest.raises(ProtocolError, match="24 bytes"):
        Array("f4", (2, 3), b"\0" * 23)
    for shape in ((-1, 2), (2**62,) * 4, (1,) * 5):
        with pytest.raises(ProtocolError, match="sizes"):
            Array("f4", shape, b"")


def test_too_many_and_too_large_frames_are_refused_unread():
    tiny = Limits(header_bytes=100, frames=1, frame_bytes=10)
    opening, ping = encode(7, OpenIdentity(FromLatent(b"x" * 11))), encode(7, Ping())
    for frames, request_id in ((opening, 7), ([*ping, b"", b""], 7), ([bytes(101), *opening[1:]], None)):
        with pytest.raises(ProtocolError) as caught:
            decode_request(frames, tiny)
        assert caught.value.code == "too-large"
        assert caught.value.request_id == request_id, "whoever waits for the answer would wait for ever"


def test_fields_that_came_later_travel_only_where_they_say_something():
    plain = Synthesize("i", 0.0, 0.0, {})
    for message, later in ((plain, "keep"), (OpenIdentity(FromSeed(1)), "own")):
        frames = encode(1, message)
        assert later not in msgpack.unpackb(frames[0])["body"], "a side of before would not understand it"
        assert decode_request(frames).message == message
    assert msgpack.unpackb(encode(1, dataclasses.replace(plain, keep=0.5))[0])["body"]["keep"] == 0.5
    assert decode_request(encode(1, dataclasses.replace(plain, keep=0.5))).message.keep == 0.5
    for wrong in (-0.1, 1.1):
        with pytest.raises(ProtocolError, match="keep"):
            dataclasses.replace(plain, keep=wrong)
