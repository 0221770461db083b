# SPDX-License-Identifier: Apache-2.0
"""What was read of a face, as ARKit's shapes: packets, rows of a table, smoothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from effigy.capture import (
    CapturedFrame,
    OneEuro,
    csv_rows,
    packet,
    smooth_both_ways,
)
from effigy.capture.arkit import ShapeFinder
from effigy_client.capture.live_link import ARKIT as CLIENT_ARKIT
from effigy_client.capture.live_link import decode
from effigy_client.capture.retarget import Target, retarget
from effigy_client.capture.tables import Capture, read_live_link
from effigy_protocol.arkit import NAMES, SHAPES
from effigy_protocol.messages import Parameter

RANGES = {
    "jawOpen": (-0.2, 1.0), "mouthSmile": (-0.3, 1.0), "eyeBlinkLeft": (-0.25, 1.0), "eyeBlinkRight": (-0.25, 1.0),
    "browUp": (-0.4, 1.2), "mouthPucker": (-0.35, 0.9), "gazeSide": (-1.0, 1.0), "gazeUp": (-1.0, 0.8),
}  # fmt: skip
TWINS = {"eyeBlinkLeft": "eyeBlinkRight", "eyeBlinkRight": "eyeBlinkLeft"}


def test_shapes_come_in_the_order_of_the_app():
    assert tuple(name.lower() for name in NAMES) == CLIENT_ARKIT
    assert len(SHAPES) == 52


def test_importers_make_the_controls_of_the_shapes_again():
    random = np.random.default_rng(0)
    finder = ShapeFinder([Parameter(name, "", *limits, TWINS.get(name, name)) for name, limits in RANGES.items()])
    for _ in range(30):
        wanted = {n: random.uniform(low, high) if random.random() < 0.5 else 0.0 for n, (low, high) in RANGES.items()}
        wanted["jawOpen"] = max(wanted["jawOpen"], 0.0)  # of a jaw more shut than at rest ARKit has no shape
        for name in ("eyeBlinkLeft", "eyeBlinkRight", "mouthPucker"):  # and their opposites count by half
            wanted[name] = max(wanted[name], 0.5 * RANGES[name][0])
        shapes = finder.find(wanted, dict(zip(SHAPES, random.uniform(0, 0.3, 52), strict=True)))
        assert all(0 <= value <= 1 for value in shapes.values())
        capture = Capture(np.zeros(1), {name.lower(): np.array([value]) for name, value in shapes.items()})
        found = retarget(capture, [Target(name, *limits, TWINS.get(name, "")) for name, limits in RANGES.items()])
        for name, value in wanted.items():
            assert found[name][0] == pytest.approx(value, abs=0.04 * np.ptp(RANGES[name]) + 0.01), name


def test_what_shapes_cannot_say_is_told():
    """One brow rises alone, and the other with it: ARKit has one shape for the inner ends of both."""
    twins = {"browInnerUp": "browInnerUp", "browUpLeft": "browUpRight", "browUpRight": "browUpLeft"}
    finder = ShapeFinder([Parameter(name, "", -1.0, 1.0, twin) for name, twin in twins.items()])

    def moment(left, right):
        asked = {"browInnerUp": 0.5 * (left + right), "browUpLeft": left, "browUpRight": right}
        return CapturedFrame(0.0, finder.find(asked, {}), 0.0, 0.0, 0.0, finder.spread(asked))

    assert finder.unsaid([moment(0.0, 0.0), moment(0.4, 0.4)]) == ()
    alone = CapturedFrame(0.0, {}, 0.0, 0.0, 0.0, asked := {"browInnerUp": 0.0, "browUpLeft": 1.0, "browUpRight": 0.0})
    shown = replace(alone, shapes=finder.find(asked, {}))
    assert "browUpLeft" in finder.unsaid([moment(0.0, 0.0), shown])


def test_what_no_control_is_made_of_is_as_it_was_scored():
    shapes = ShapeFinder([Parameter("jawOpen", "mouth", 0.0, 1.0, "jawOpen")]).find(
        {"jawOpen": 0.7}, {"cheekPuff": 0.4, "jawOpen": 0.1, "jawLeft": -1}
    )
    assert shapes["jawOpen"] == pytest.approx(0.7, abs=0.01)
    assert shapes["cheekPuff"] == 0.4
    assert shapes["jawLeft"] == shapes["tongueOut"] == 0


def test_packets_and_rows_say_what_was_read(tmp_path):
    moments = [
        CapturedFrame(t / 24, {"jawOpen": 0.25 * t, "eyeLookOutLeft": 0.5}, 10.0 * t, -5.0, 2.0) for t in range(4)
    ]
    for number, moment in enumerate(moments):
        found = decode(packet(moment, number, 24.0, "film"))
        assert found.channels["jawopen"][0] == pytest.approx(0.25 * number)
        angles = [found.channels[name][0] for name in ("yaw", "pitch", "roll")]
        assert angles == pytest.approx([10 * number, -5, 2], abs=1e-4)
        assert np.degrees(found.channels["lefteyeyaw"][0]) == pytest.approx(15, abs=1e-4)
    assert decode(packet(None, 0, 24.0, "film")) is None
    path = tmp_path / "take.csv"
    path.write_text("\n".join(",".join(row) for row in csv_rows(moments)) + "\n")
    capture = read_live_link(path, rate=60.0)
    assert capture.times == pytest.approx([0, 1 / 24, 2 / 24, 3 / 24], abs=1e-4)
    assert capture.channels["jawopen"] == pytest.approx([0, 0.25, 0.5, 0.75])
    assert capture.channels["yaw"] == pytest.approx([0, 10, 20, 30], abs=1e-3)
    assert capture.channels["pitch"] == pytest.approx([-5] * 4, abs=1e-3)


def test_what_rests_is_steady_and_what_moves_does_not_lag():
    times, beta = np.arange(200) / 30, np.ones(1)
    random = np.random.default_rng(0)
    noise = 0.02 * random.normal(size=(200, 1))
    assert smooth_both_ways(noise, times, 1.0, beta, 0.5)[20:-20].std() < 0.4 * noise.std()
    ramp = times[:, None]
    smooth = smooth_both_ways(ramp, times, 1.0, beta, 0.5)
    assert np.abs(smooth - ramp)[60:-60].max() < 1e-2
    np.testing.assert_allclose(smooth_both_ways(ramp[::-1], -times[::-1], 1.0, beta, 0.5)[::-1], smooth, atol=1e-12)
    constant = np.full((50, 1), 0.3)
    np.testing.assert_allclose(smooth_both_ways(constant, times[:50], 1.0, beta, 0.5), constant)


def test_after_a_gap_smoothing_begins_anew():
    times = np.array([0.0, 0.1, 5.0, 5.1])
    values = np.array([[0.0], [0.0], [1.0], [1.0]])
    np.testing.assert_allclose(smooth_both_ways(values, times, 1.0, np.zeros(1), 0.5), values)
    one = OneEuro(1.0, np.zeros(1))
    one(np.zeros(1), 0.0)
    assert 0 < one(np.ones(1), 0.03)[0] < 0.5
    one.forget()
    assert one(np.ones(1), 0.03)[0] == 1.0
