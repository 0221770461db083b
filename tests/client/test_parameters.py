# SPDX-License-Identifier: Apache-2.0
"""One pose and expression gives equal parameters, however a float32 scene rounds it."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from effigy_client.memory import CachedRange, PictureMemory
from effigy_client.parameters import PictureParameters

ANGLES = st.floats(-90, 90)
VALUES = st.floats(-1, 1)


@given(ANGLES, ANGLES, VALUES)
def test_float32_makes_no_other_parameters_of_what_is_rounded_already(yaw, pitch, value):
    parameters = PictureParameters.of(yaw, pitch, [("jawOpen", value)])
    again = PictureParameters.of(parameters.yaw, parameters.pitch, parameters.controls)
    assert {parameters: 1}[again] == 1
    single = [float(np.float32(number)) for number in (parameters.yaw, parameters.pitch)]
    assert PictureParameters.of(*single, parameters.controls) == parameters


def test_what_is_at_rest_is_not_asked_for_and_values_are_named():
    parameters = PictureParameters.of(1.23456, -2.0, [("jawOpen", 0.0), ("mouthSmile", 0.12345678)])
    assert json.loads(json.dumps(parameters.named())) == {
        "yaw": 1.2346, "pitch": -2.0, "controls": {"mouthSmile": 0.123457}
    }  # fmt: skip
    request = parameters.request("x", "final", "png")
    assert (request.yaw, request.pitch, request.controls) == (1.2346, -2.0, {"mouthSmile": 0.123457})


def test_a_cached_frame_is_fresh_stale_or_gone():
    memory, cached, now = PictureMemory(), CachedRange(), {"model": "m", "yaw": 1.0}
    cached.compare(3, "key", now, memory)
    assert (cached.state, cached.differs) == ("", [])
    cached.keep(3, "key", now)
    cached.compare(3, "key", now, memory)
    assert cached.state == "", "other pictures have taken its place"
    memory.put("key", bytes(4), 1, 1)
    cached.compare(3, "key", now, memory)
    assert cached.state == "fresh"
    cached.compare(3, "other", {"model": "m", "yaw": 2.0}, memory)
    assert (cached.state, cached.differs) == ("stale", ["turn"])
    cached.compare(3, "other", {"model": "m", "yaw": 1.0, **PictureParameters.of(1.0, 0.0, lit=True).named()}, memory)
    assert "shading" in cached.differs
    assert len(cached) == 1
