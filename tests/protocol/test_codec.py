# SPDX-License-Identifier: Apache-2.0
"""Decoding undoes encoding, and nothing but ProtocolError ever comes of bad bytes."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import tracemalloc
from typing import Any, get_args

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
from effigy_protocol.errors import ERROR_CODES, RETRY, ErrorCode, is_transient
from effigy_protocol.limits import MAX_ITEMS, MAX_TEXT
from effigy_protocol.messages import (
    ANSWER_OF,
    ITEM_BYTES,
    Array,
    Error,
    Frame,
    FromLatent,
    FromSeed,
    Job,
    Mix,
    OpenIdentity,
    Parameter,
    Ping,
    Pose,
    Reply,
    Request,
    Source,
    Synthesize,
    Timings,
    Welcome,
    Working,
)
from effigy_protocol.schema import TAG, pack

from .strategies import messages, replies, request_ids, requests

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


TIMINGS, POSE = Timings(0.0, 0.0, 0.0, 0.0), Pose(0.0, 0.0, 0.0, 1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("name", "dtype", "shape"),
    [
        ("smell", "f2", (2, 3, 1)),
        ("depth", "f4", (2, 3, 1)),
        ("depth", "f2", (3, 2, 1)),
        ("depth", "f2", (2, 3)),
        ("normal", "f2", (2, 3, 1)),
        ("normal", "f2", (4, 6, 3)),
    ],
)
def test_a_pass_is_as_large_as_its_picture_and_a_known_one(name, dtype, shape):
    array = Array(dtype, shape, bytes(math.prod(shape) * ITEM_BYTES[dtype]))
    with pytest.raises(ProtocolError, match=f"a frame of 3 × 2 has no such pass '{name}'"):
        Frame("i", "final", 2, 3, "rgba8", bytes(24), True, POSE, (), {}, TIMINGS, passes={name: array})


def test_the_largest_passes_that_are_promised_may_be_sent_and_larger_ones_are_refused_on_their_sizes():
    def frame(side):
        normal = Array("f2", (side, side, 3), bytes(6 * side * side))
        return Frame("i", "final", side, side, "png", b"", True, POSE, (), {}, TIMINGS, passes={"normal": normal})

    assert decode_reply(encode(1, frame(3344))).id == 1
    with pytest.raises(ProtocolError, match="payload frame 1 has") as caught:
        encode(1, frame(3345))
    assert caught.value.code == "too-large"


def test_a_pass_cannot_be_asked_for_twice_or_by_a_name_that_nobody_has():
    with pytest.raises(ProtocolError, match="asked for twice: depth, depth"):
        Synthesize("i", 0.0, 0.0, {}, passes=("depth", "depth"))
    with pytest.raises(ProtocolError, match="must be one of normal, depth, albedo, light, not 'smell'"):
        encode(1, Synthesize("i", 0.0, 0.0, {}, passes=("smell",)))


def test_too_many_and_too_large_frames_are_refused_unread():
    tiny = Limits(header_bytes=100, frames=1, frame_bytes=10)
    frames = encode(1, OpenIdentity(FromLatent(b"x" * 11)))
    with pytest.raises(ProtocolError) as caught:
        decode_request(frames, tiny)
    assert caught.value.code == "too-large"
    with pytest.raises(ProtocolError) as caught:
        decode_request([*encode(1, Ping()), b"", b""], tiny)
    assert caught.value.code == "too-large"


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


YAW = Parameter("yaw", "pose", -40.0, 40.0, "yaw", is_odd=True)


def test_a_welcome_with_many_controls_fits_the_reply_limits():
    count, landmarks = 200, 478
    controls = tuple(Parameter(f"control{i}", "group", -1.0, 1.0, f"control{i ^ 1}") for i in range(count))
    zeros = Array("f4", (3, landmarks), bytes(12 * landmarks))
    directions = Array("f4", (count, 3, landmarks), bytes(12 * landmarks * count))
    triangles = Array("i4", (900, 3), bytes(12 * 900))
    mirror = Array("i4", (landmarks,), bytes(4 * landmarks))
    describes = (zeros, triangles, mirror, (YAW,), controls, directions, True, ("normal", "depth"))
    message = Welcome("s", "cpu", "m", "n", (1024, 1024), "t", *describes)
    assert decode_reply(encode(1, message)).message == message


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


@pytest.mark.parametrize("message", [*get_args(Request), *get_args(Reply), *get_args(Source)])
def test_no_field_has_the_name_by_which_kinds_are_told_apart(message):
    assert TAG not in {field.name for field in dataclasses.fields(message)}


@pytest.mark.parametrize(
    "made",
    [
        lambda: FromSeed(-1),
        lambda: FromSeed(2**32),
        lambda: FromSeed(1, truncation=2.5),
        lambda: FromSeed(1, seeds=0),
        lambda: FromSeed(1, seeds=65),
        lambda: Mix(b"a", b"b", 1.5),
        lambda: Mix(b"a", b"b", float("nan")),
        lambda: Parameter("yaw", "pose", 1.0, -1.0, "yaw"),
        lambda: Working("job", 1.1, "painting"),
    ],
)
def test_numbers_beyond_their_range_are_refused(made):
    with pytest.raises(ProtocolError) as caught:
        made()
    assert caught.value.code == "bad-field"


def test_every_code_says_whether_asking_again_may_help():
    assert set(RETRY) == set(get_args(ErrorCode)) == ERROR_CODES
    assert {code for code in ERROR_CODES if is_transient(code)} >= {"loading", "busy", "superseded"}
    assert not any(map(is_transient, ("bad-field", "version", "wrong-model", "failed")))


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


def test_every_kind_is_described_in_the_document():
    from pathlib import Path
    from typing import get_args

    from effigy_protocol.messages import Reply, Request

    text = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
    for cls in (*get_args(Request), *get_args(Reply), *get_args(Source), Parameter):
        assert f"`{cls.__name__}`" in text
        for name in cls.__dataclass_fields__:
            assert f"`{name}`" in text, f"{cls.__name__}.{name} is not described"
    for code in ERROR_CODES:
        assert f"`{code}`" in text
