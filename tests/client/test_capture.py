# SPDX-License-Identifier: Apache-2.0
"""Captured faces are read, or refused with a reason, and become values of controls."""

from __future__ import annotations

import numpy as np
import pytest

from effigy_client.capture import tables as capture_module
from effigy_client.capture.recording import record
from effigy_client.capture.retarget import Target, fill_gaps, resample, retarget, smooth
from effigy_client.capture.tables import Capture, CaptureError, read_live_link, read_openface
from effigy_client.pose import Angles


def live_link(tmp_path, rows, header="Timecode,BlendShapeCount,EyeBlinkLeft,EyeBlinkRight,JawOpen,HeadYaw,HeadPitch"):
    path = tmp_path / "take.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8-sig")
    return path


def test_a_recording_has_times_shapes_and_the_head_in_degrees(tmp_path):
    path = live_link(tmp_path, ["10:00:00:00.000,61,0.1,0.2,0.3,0.5,0.1", "10:00:00:30.000,61,0.2,0.4,0.6,0.5,0.1"])
    capture = read_live_link(path)
    np.testing.assert_allclose(capture.times, [0, 0.5])
    np.testing.assert_allclose(capture.channels["jawopen"], [0.3, 0.6])
    np.testing.assert_allclose(capture.channels["yaw"], np.degrees(0.5))
    np.testing.assert_allclose(capture.channels["pitch"], np.degrees(-0.1))


def test_a_recording_may_cross_midnight(tmp_path):
    path = live_link(tmp_path, ["23:59:59:30.0,61,0,0,0,0,0", "00:00:00:00.0,61,0,0,0,0,0"])
    np.testing.assert_allclose(read_live_link(path).times, [0, 0.5])


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([], "no frames"),
        (["10:00:00:00.000,61,0.1,0.2"], "line 2: 4 values under 7 columns"),
        (["later,61,0,0,0,0,0"], "no timecode"),
        (["10:00:00:00.0,61,0,0,much,0,0"], "'much' is no number"),
        (["10:00:01:00.0,61,0,0,0,0,0", "10:00:00:00.0,61,0,0,0,0,0"], "line 3: its time is before"),
        (["10:00:00:00.0,61,0,0,0,0,0", "", "10:00:00:01.0,61,0,0,nan,0,0"], "line 4: 'nan' is no number"),
        (["10:00:00:00.0,61,0,0,-inf,0,0"], "line 2: '-inf' is no number"),
        (["10:00:00:00.0,61,0,0,0,1e308,0"], "line 2: '1e308' is no number"),
        (["10:00:00:00.0,61,0,0,0,0,0", "10:00:nan:01.0,61,0,0,0,0,0"], "line 3: '10:00:nan:01.0' is no timecode"),
        (["10:00:00:00.0,61,0,0,0,0,0", "10:00:00:inf,61,0,0,0,0,0"], "line 3: '10:00:00:inf' is no timecode"),
        (["1e300:00:00:00.0,61,0,0,0,0,0"], "line 2: '1e300:00:00:00.0' is no timecode"),
        (["01:00:00:00.0,61,0,0,0,0,0", "09:00:00:00.0,61,0,0,0,0,0"], "line 3: it is 8 hours after the first"),
    ],
)
def test_a_bad_recording_is_refused_by_line(tmp_path, rows, why):
    with pytest.raises(CaptureError, match=why):
        read_live_link(live_link(tmp_path, rows))


@pytest.mark.parametrize("row", ["{},61,0,0,0,0,0", "10:00:00:00.0,61,0,0,{},0,0"])
def test_a_refusal_is_short_however_long_a_value_is(tmp_path, row):
    with pytest.raises(CaptureError) as caught:
        read_live_link(live_link(tmp_path, [row.format("x" * 100_000)]))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("times", "value", "why"),
    [
        (("0", "nan"), "10", "line 3: 'nan' is no number"),
        (("0", "inf"), "10", "line 3: 'inf' is no number"),
        (("5", "4"), "10", "line 3: its time is before"),
        (("0", "30000"), "10", "line 3: it is 8.33 hours after the first"),
        (("0", "1"), "inf", "line 2: 'inf' is no number"),
        (("0", "1"), "1e30", "line 2: '1e30' is no number"),
    ],
)
def test_a_bad_track_is_refused_by_line(tmp_path, times, value, why):
    names = [f"{axis}_{point}" for axis in "xy" for point in range(68)]
    rows = [",".join([time, *[value] * 136]) for time in times]
    with pytest.raises(CaptureError, match=why):
        read_openface(live_link(tmp_path, rows, header=",".join(["timestamp", *names])))


def test_a_table_without_end_is_refused_and_not_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(capture_module, "_MAX_ROWS", 3)
    rows = [f"10:00:00:0{row}.0,61,0,0,0,0,0" for row in range(4)]
    assert len(read_live_link(live_link(tmp_path, rows[:3])).times) == 3
    with pytest.raises(CaptureError, match="line 5: more than 3"):
        read_live_link(live_link(tmp_path, rows))


def test_another_table_is_no_recording(tmp_path):
    names = [f"{axis}_{point}" for point in range(68) for axis in "XY" if point != 5]
    with pytest.raises(CaptureError, match="no columns x_5 and y_5"):
        read_openface(live_link(tmp_path, [",".join("1" * len(names))], header=",".join(names)))
    with pytest.raises(CaptureError, match="Timecode and JawOpen"):
        read_live_link(live_link(tmp_path, ["1,2"], header="a,b"))
    with pytest.raises(CaptureError, match="x_0"):
        read_openface(live_link(tmp_path, ["1,2"], header="a,b"))
    with pytest.raises(CaptureError, match="Timecode and JawOpen"):
        read_live_link(live_link(tmp_path, ["- a list, of words", "", "text"], header="# A document"))
    with pytest.raises(CaptureError, match="cannot be read"):
        read_live_link(tmp_path / "nowhere.csv")


def test_a_landmark_track_is_upright_and_knows_its_gaps(tmp_path):
    names = [f"{axis}_{point}" for axis in "xy" for point in range(68)]
    rows = [",".join([f"{t}", f"{ok}", *["10"] * 68, *["20"] * 68]) for t, ok in ((0.0, 1), (0.1, 0))]
    track = read_openface(live_link(tmp_path, rows, header=", ".join(["timestamp", "success", *names])))
    np.testing.assert_allclose(track.points[0], [[10, -20]] * 68)
    assert np.isnan(track.points[1]).all()


def test_controls_hear_shapes_of_their_name_side_or_both_sides(tmp_path):
    path = live_link(tmp_path, ["10:00:00:00.0,61,0.2,0.6,1.0,0,0"])
    capture = read_live_link(path)
    targets = [
        Target("jawOpen", -0.5, 2.0), Target("eyeBlink", -0.5, 2.0), Target("noseSneer", -0.5, 2.0),
        Target("eyeBlinkLeft", -0.5, 2.0, twin="eyeBlinkRight"),
    ]  # fmt: skip
    values = retarget(capture, targets)
    assert values.keys() == {"jawOpen", "eyeBlink", "eyeBlinkLeft"}
    np.testing.assert_allclose([values["jawOpen"][0], values["eyeBlink"][0], values["eyeBlinkLeft"][0]], [2, 0.8, 0.4])


def test_resampling_keeps_values_at_their_times():
    times, values = np.array([0.0, 0.5, 1.0]), np.array([0.0, 1.0, 0.0])
    np.testing.assert_allclose(resample(times, values, 4), [0, 0.5, 1, 0.5, 0])
    np.testing.assert_allclose(resample(times, np.stack([values, values], 1), 2), [[0, 0], [1, 1], [0, 0]])


def test_smoothing_keeps_lines_and_lowers_jitter():
    line = np.linspace(0, 1, 20)
    np.testing.assert_allclose(smooth(line, 2.0), line, atol=1e-9)
    noise = np.random.default_rng(0).normal(size=200)
    assert smooth(noise, 2.0).std() < 0.5 * noise.std()
    np.testing.assert_array_equal(smooth(noise, 0.0), noise)


def test_gaps_are_bridged_and_nothing_at_all_is_an_error():
    np.testing.assert_allclose(fill_gaps(np.array([0.0, np.nan, 2.0])[:, None]).ravel(), [0, 1, 2])
    with pytest.raises(ValueError, match="no face"):
        fill_gaps(np.full((3, 2), np.nan))


def test_eyes_that_look_aside_and_up_are_one_control_each():
    channels = {"eyelookoutleft": [0.8, 0.0], "eyelookinright": [0.6, 0.0], "eyelookinleft": [0.0, 0.5],
                "eyelookoutright": [0.0, 0.5], "eyelookupleft": [0.4, 0.0], "eyelookupright": [0.4, 0.0],
                "eyelookdownleft": [0.0, 0.2], "eyelookdownright": [0.0, 0.2]}  # fmt: skip
    capture = Capture(np.array([0.0, 1.0]), {name: np.array(values) for name, values in channels.items()})
    values = retarget(capture, [Target("gazeSide", -1.0, 1.0), Target("gazeUp", -1.0, 1.0)])
    assert values["gazeSide"] == pytest.approx([0.7, -0.5])
    assert values["gazeUp"] == pytest.approx([0.4, -0.2])


EVERY = [
    Target("jawOpen", -0.2, 1.0),
    Target("mouthSmile", -0.5, 0.9),
    Target("mouthPucker", -0.4, 1.0),
    Target("eyeBlinkLeft", -0.3, 1.0, "eyeBlinkRight"),
    Target("eyeBlinkRight", -0.3, 1.0, "eyeBlinkLeft"),
    Target("browUp", -0.4, 1.0),
    Target("browInnerUp", -0.2, 1.0),
    Target("gazeSide", -1.0, 1.0),
    Target("mouthSide", -1.0, 1.0),  # of which ARKit knows nothing
]


@pytest.mark.parametrize("rate", [24.0, 30000 / 1001, 25.0, 60.0])
def test_what_is_recorded_is_imported_as_it_was(tmp_path, rate):
    """Whatever a face may show: what no shape says has a column of its own."""
    random = np.random.default_rng(1)
    values = {target.name: random.uniform(target.low, target.high, 50) for target in EVERY}
    angles = [Angles(*random.uniform(-20, 20, 3)) for _ in range(50)]
    recording = record(values, EVERY, angles, rate)
    path = tmp_path / "take.csv"
    path.write_text(recording.text)
    capture = read_live_link(path)
    found = retarget(capture, EVERY)
    for name, wanted in values.items():
        np.testing.assert_allclose(resample(capture.times, found[name], rate), wanted, atol=3e-3, err_msg=name)
    for name in ("yaw", "pitch", "roll"):
        wanted = np.array([getattr(turn, name) for turn in angles])
        np.testing.assert_allclose(resample(capture.times, capture.channels[name], rate), wanted, atol=0.05)
    assert "mouthSide" in recording.beyond
    assert "gazeSide" not in recording.beyond


def test_a_recording_of_a_usual_expression_has_the_apps_columns_alone():
    values = {"jawOpen": np.array([0.0, 0.5]), "mouthSmile": np.array([-0.5, 0.45]), "eyeBlinkLeft": np.array([0.2, 1])}
    recording = record(values, EVERY, [Angles(0, 0, 0)] * 2, 24.0)
    assert recording.beyond == ()
    header, *rows = (line.split(",") for line in recording.text.splitlines())
    assert (len(header), rows[0][1]) == (63, "61")
    for row in rows:
        assert all(0 <= float(value) <= 1 for value in row[2:54])
    assert float(rows[0][header.index("MouthFrownLeft")]) == float(rows[0][header.index("MouthFrownRight")]) == 1.0
