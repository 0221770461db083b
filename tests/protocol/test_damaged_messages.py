# SPDX-License-Identifier: Apache-2.0
"""Whatever bytes arrive, decoding gives a message or a protocol error, within bounded memory."""

from __future__ import annotations

import contextlib
import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from effigy_protocol import (
    PROTOCOL_VERSION,
    REQUEST_LIMITS,
    ProtocolError,
    decode_reply,
    decode_request,
    encode,
)
from effigy_protocol.errors import ERROR_CODES

from .strategies import replies, requests

junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_random_frames_raise_only_a_protocol_error(frames):
    with pytest.raises(ProtocolError) as caught:
        decode_request(frames)
    assert caught.value.code in ERROR_CODES


@given(requests, st.data())
def test_a_flipped_or_truncated_message_is_refused_or_still_a_message(message, data):
    frames = [bytearray(frame) for frame in encode(1, message)]
    victim = data.draw(st.sampled_from(frames))
    if data.draw(st.booleans()):
        del victim[data.draw(st.integers(0, len(victim))) :]
    elif victim:
        victim[data.draw(st.integers(0, len(victim) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(ProtocolError):
        decode_request([bytes(frame) for frame in frames])


@given(requests)
def test_a_missing_payload_frame_is_refused(message):
    frames = encode(1, message)
    if len(frames) > 1:
        with pytest.raises(ProtocolError):
            decode_request(frames[:-1])


@given(junk)
def test_a_header_of_any_other_form_is_refused(value):
    with pytest.raises(ProtocolError):
        decode_request([msgpack.packb(value)])


@given(requests, st.data())
def test_a_field_of_another_type_is_refused_by_name(message, data):
    frames = encode(1, message)
    header = msgpack.unpackb(frames[0])
    if not header["body"]:
        return
    name = data.draw(st.sampled_from(sorted(header["body"])))
    header["body"][name] = {"a": {"b": []}}
    with pytest.raises(ProtocolError) as caught:
        decode_request([msgpack.packb(header), *frames[1:]])
    assert caught.value.code == "bad-field"
    assert name in caught.value.message
    assert caught.value.request_id == 1


def header(**changes: Any) -> bytes:
    fields = {"v": PROTOCOL_VERSION, "id": 1, "kind": "Ping", "body": {}, "sizes": []}
    return msgpack.packb(fields | changes)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (header(v=PROTOCOL_VERSION + 1), "version"),
        (header(v=None), "version"),
        (header(kind="Launch"), "unknown-kind"),
        (header(kind=7), "unknown-kind"),
        (header(kind="Pong"), "unknown-kind"),  # a reply does not travel this way
        (header(body={"extra": 1}), "bad-field"),
        (header(kind="Release"), "bad-field"),
        (header(kind="Synthesize", body=[]), "bad-field"),
        (header(id=-1), "malformed"),
        (header(id=2**64 - 1), "malformed"),
        (header(id="1"), "malformed"),
        (header(sizes=[1]), "malformed"),
        (header(more=1), "malformed"),
        (b"", "malformed"),
        (b"\xc1", "malformed"),
        (b"x" * (REQUEST_LIMITS.header_bytes + 1), "too-large"),
    ],
)
def test_a_bad_header_is_refused_with_its_code(bad, code):
    with pytest.raises(ProtocolError) as caught:
        decode_request([bad])
    assert caught.value.code == code


HUGE = [
    b"\xdd\xff\xff\xff\xff",  # a list of 2^32 - 1 entries
    b"\xdf\xff\xff\xff\xff",  # a map of as many
    b"\xdb\xff\xff\xff\xff",  # text of 4 GiB
    b"\xc6\xff\xff\xff\xff",  # binary of 4 GiB
    b"\xc9\xff\xff\xff\xff\x01",  # an extension of 4 GiB
    b"\xdc\x01\x00" * 20000,  # lists of 256 within each other
    b"\x81\xa1a" * 20000,  # maps within each other
    b"\x91" * 60000,
]


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("where", ["v", "kind", "body", "sizes", "field", "key"])
def test_a_value_nested_without_end_is_refused_like_any_other(where):
    deep = nested(400)
    fields = {"v": PROTOCOL_VERSION, "id": 1, "kind": "Release", "body": {"identity": "x"}, "sizes": []}
    if where == "field":
        fields["body"] = {"identity": deep}
    elif where == "key":
        fields["body"] = {"identity": "x", "other": deep}
    else:
        fields[where] = deep
    with pytest.raises(ProtocolError):
        decode_request([msgpack.packb(fields)])


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_random_frames_from_a_service_raise_only_a_protocol_error(frames):
    with pytest.raises(ProtocolError):
        decode_reply(frames)


@given(replies, st.data())
def test_a_damaged_reply_is_refused_or_still_a_reply(message, data):
    frames = [bytearray(frame) for frame in encode(1, message)]
    victim = data.draw(st.sampled_from(frames))
    if victim:
        victim[data.draw(st.integers(0, len(victim) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(ProtocolError):
        decode_reply([bytes(frame) for frame in frames])


@pytest.mark.parametrize("frame", HUGE, ids=lambda frame: f"{frame[:5].hex()}-{len(frame)}")
def test_a_huge_announcement_takes_no_memory(frame):
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            decode_request([frame])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * REQUEST_LIMITS.header_bytes


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("decode", [decode_request, decode_reply])
def test_a_refused_version_says_which_side_to_update(decode, ours):
    """Of a service that reads a request and a client that reads a reply: the one that speaks the smaller number."""
    with pytest.raises(ProtocolError) as caught:
        decode([header(v=PROTOCOL_VERSION + (1 if ours else -1))])
    reader, sender = ("backend", "client") if decode is decode_request else ("client", "backend")
    assert f"update the {reader if ours else sender}" in caught.value.message
    assert caught.value.code == "version"


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ({}, "kind"),
        ({"kind": None}, "kind"),
        ({"kind": ["FromSeed"]}, "kind"),
        ({"kind": "Ping"}, "one of FromSeed, FromLatent, Mix"),
        ({"kind": "FromSeed"}, "FromSeed lacks model, seed, seeds, truncation"),
        (
            {"kind": "FromSeed", "seed": 1, "seeds": 1, "truncation": 0.7, "model": None, "latent": 0},
            "unknown fields: 'latent'",
        ),
        ({"kind": "FromLatent", "latent": 1, "model": None}, "index of one of"),
        (None, "a map"),
        ([], "a map"),
    ],
)
def test_a_source_that_is_none_of_the_known_kinds_is_refused_by_name(source, named):
    frames = [header(kind="OpenIdentity", body={"source": source}, sizes=[1]), b"x"]
    with pytest.raises(ProtocolError, match=named) as caught:
        decode_request(frames)
    assert caught.value.code == "bad-field"
