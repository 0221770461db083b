# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for every message, built from the dataclasses' own types."""

from __future__ import annotations

import dataclasses
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from effigy_protocol.messages import (
    ITEM_BYTES,
    MAX_POSE,
    MOST_FACES,
    MOST_SEEDS,
    PASS_CHANNELS,
    PHOTO_POINTS,
    SEEDS,
    Array,
    Buffer,
    FaceBox,
    Frame,
    FromPhoto,
    FromSeed,
    Mix,
    Parameter,
    PictureRead,
    Pose,
    ReadPicture,
    Reply,
    Request,
    Synthesize,
    Working,
)

_PICTURE = {"height", "width", "data", "passes"}

buffers = st.binary(max_size=64)


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    shape = tuple(draw(st.lists(st.integers(0, 4), min_size=1, max_size=3)))
    count = 1
    for size in shape:
        count *= size
    dtype = draw(st.sampled_from(list(ITEM_BYTES)))
    size = count * ITEM_BYTES[dtype]
    return Array(dtype, shape, draw(st.binary(min_size=size, max_size=size)))


def values(declared: Any) -> st.SearchStrategy[Any]:
    if declared is Buffer:
        return buffers
    if declared is Array:
        return arrays()
    origin = get_origin(declared)
    if origin in (Union, types.UnionType):
        members = [member for member in get_args(declared) if member is not type(None)]
        some = buffers if bytes in members else st.one_of([values(member) for member in members])
        return st.none() | some if type(None) in get_args(declared) else some
    if origin is Literal:
        return st.sampled_from(get_args(declared))
    if origin is tuple:
        members = get_args(declared)
        if members[-1] is Ellipsis:
            return st.lists(values(members[0]), max_size=4).map(tuple)
        return st.tuples(*map(values, members))
    if origin is dict:
        return st.dictionaries(st.text(max_size=10), values(get_args(declared)[1]), max_size=4)
    if dataclasses.is_dataclass(declared):
        return messages(declared)
    return {
        int: st.integers(-(2**62), 2**62),
        float: st.floats(allow_nan=False, allow_infinity=False),
        str: st.text(max_size=20),
        bool: st.booleans(),
    }[declared]


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    hints = get_type_hints(Frame)
    fields = {f.name: draw(values(hints[f.name])) for f in dataclasses.fields(Frame) if f.name not in _PICTURE}
    height, width = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    size = 4 * height * width
    passes = {}
    for name in draw(st.lists(st.sampled_from(list(PASS_CHANNELS)), unique=True)):
        shape = (height, width, PASS_CHANNELS[name])
        passes[name] = Array("f2", shape, bytes(2 * height * width * PASS_CHANNELS[name]))
    data = draw(st.binary(min_size=size, max_size=size))
    return Frame(height=height, width=width, data=data, passes=passes, **fields)


def _parameter(low: float, high: float, **fields: Any) -> Parameter:
    return Parameter(low=min(low, high), high=max(low, high), **fields)


def _points(some: bytes) -> Array:
    """The points of a face, of a few bytes."""
    size = 2 * PHOTO_POINTS * ITEM_BYTES["f4"]
    return Array("f4", (2, PHOTO_POINTS), (some * size)[:size])


def messages(cls: Any) -> st.SearchStrategy[Any]:
    hints = get_type_hints(cls)
    if cls is Frame:
        return frames()
    fields = {field.name: values(hints[field.name]) for field in dataclasses.fields(cls)}
    if cls is Pose:
        fields["scale"] = st.floats(1 / MAX_POSE, MAX_POSE)
        fields["x"] = fields["y"] = st.floats(-MAX_POSE, MAX_POSE)
    if cls is FromSeed:
        fields |= {
            "seed": st.integers(0, SEEDS - 1),
            "seeds": st.integers(1, MOST_SEEDS),
            "truncation": st.floats(0, 2),
        }
    if cls is Synthesize:
        fields |= {"unit": st.floats(1 / MAX_POSE, MAX_POSE), "distance": st.floats(-MAX_POSE, MAX_POSE)}
        fields["keep"] = st.floats(0, 1)
    if cls in (Mix, Working):
        fields["share"] = st.floats(0, 1)
    if cls in (ReadPicture, FromPhoto):
        fields["face"] = st.integers(1, MOST_FACES)
    if cls is PictureRead:
        fields |= {
            "points": st.binary(min_size=1, max_size=8).map(_points),
            "faces": st.lists(messages(FaceBox), min_size=1, max_size=MOST_FACES).map(tuple),
            "face": st.just(1),
            "width": st.integers(1, 2048),
            "height": st.integers(1, 2048),
        }
    if cls is Parameter:
        return st.builds(_parameter, **fields)
    if cls is Synthesize:
        fields["passes"] = st.permutations(list(PASS_CHANNELS)).map(tuple) | st.just(())
    return st.builds(cls, **fields)


requests = st.one_of([messages(cls) for cls in get_args(Request)])
replies = st.one_of([messages(cls) for cls in get_args(Reply)])
request_ids = st.integers(0, 2**63 - 1)
