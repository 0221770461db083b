# SPDX-License-Identifier: Apache-2.0
"""What messages may hold, how large they may be, and that the document describes them all."""

from __future__ import annotations

import dataclasses
import math
from typing import get_args

import pytest

from effigy_protocol import (
    ProtocolError,
    decode_reply,
    encode,
)
from effigy_protocol.errors import ERROR_CODES, RETRY, ErrorCode, is_transient
from effigy_protocol.messages import (
    ITEM_BYTES,
    Array,
    Frame,
    FromSeed,
    Mix,
    Parameter,
    Pose,
    Reply,
    Request,
    Source,
    Synthesize,
    Timings,
    Welcome,
    Working,
)
from effigy_protocol.schema import TAG

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
