# SPDX-License-Identifier: Apache-2.0
"""Captured faces are read, or refused with a reason, and become values of controls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from effigy_client.capture import tables as capture_module
from effigy_client.capture.recording import record
from effigy_client.capture.retarget import LAST_FRAME, Target, fill_gaps, resample, retarget, smooth
from effigy_client.capture.tables import Capture, CaptureError, arkit_capture, read_live_link, read_openface
from effigy_client.capture.timeline import gaps_of, rate_of, without_gaps
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
        (
            ["10:00:00:00.0,61,0,0,0,0,0", "10:00:00:00.0,61,0,0,0", "10:00:00:01.0,61,0,0,0,0,0"],
            "line 3: 5 values under",
        ),
        (["10:00:00:00.000,61,0.1,0.2"], "line 2: 4 values under 7 columns"),
        (["later,61,0,0,0,0,0"], "no timecode"),
        (["10:00:00:00.0,61,0,0,much,0,0"], "'much' is no number"),
        (
            ["10:00:01:00.0,61,0,0,0,0,0", "10:00:00:00.0,61,0,0,0,0,0"],
            "line 3: its time is 1 s before",
        ),
        (["10:00:00:00.0,61,0,0,0,0,0", "", "10:00:00:01.0,61,0,0,none,0,0"], "line 4: 'none' is no number"),
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
        (("5", "4"), "10", "line 3: its time is 1 s before"),
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


@pytest.mark.parametrize(("seconds", "rate"), [(6 * 3600, 60.0), (1.0, 32767e5), (1e-3, 1e300), (1e300, 1e300)])
def test_a_take_longer_than_blenders_frames_is_refused_before_it_takes_memory(seconds, rate):
    with pytest.raises(CaptureError, match="lower the scene's frame rate"):
        resample(np.array([0.0, seconds]), np.zeros(2), rate)
    assert len(resample(np.array([0.0, 1.0]), np.zeros(2), LAST_FRAME - 1)) == LAST_FRAME


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


# --- what recordings lack, and say badly ----------------------------------------------------------------------------

CASES = Path(__file__).parents[1] / "fixtures" / "captures"


@pytest.mark.parametrize(("name", "rate", "rows"), [("thirty", 30, 90), ("twentyfour", 24, 72), ("no_head", 60, 90)])
def test_a_recordings_rate_is_read_off_its_timecode(name, rate, rows):
    capture = read_live_link(CASES / f"{name}.csv")
    np.testing.assert_allclose(capture.times, np.arange(rows) / rate, atol=1e-9)
    assert (f"its timecode counts {rate} frames per second" in capture.notes) == (rate != 60), (
        "the app's own is no news"
    )


@pytest.mark.parametrize("rate", [24, 25, 30, 50, 60, 120])
@pytest.mark.parametrize("per_second", [5, 12, 24, 60])
def test_the_rate_is_told_however_seldom_moments_come(rate, per_second):
    moments = np.arange(3 * per_second) / per_second
    frames = np.round((moments % 1) * rate, 3)
    assert rate_of(np.floor(moments), frames) in (rate, None if per_second == 1 else rate)


def test_a_recording_of_less_than_a_second_counts_as_the_app_does_and_a_wrong_rate_is_refused(tmp_path):
    rows = [f"10:00:00:{frame:02d}.0,61,0,0,0.{frame:02d},0,0" for frame in range(12)]
    np.testing.assert_allclose(read_live_link(live_link(tmp_path, rows)).times, np.arange(12) / 60)
    np.testing.assert_allclose(read_live_link(live_link(tmp_path, rows), 12.0).times, np.arange(12) / 12)
    with pytest.raises(CaptureError, match="line 13: its timecode counts to frame 11, beyond 10 a second"):
        read_live_link(live_link(tmp_path, rows), 10.0)


@pytest.mark.parametrize("name", ["no_head", "zero_head"])
def test_a_recording_without_the_heads_turn_says_nothing_of_the_head(name):
    capture = read_live_link(CASES / f"{name}.csv")
    assert capture.turn is None
    assert read_live_link(CASES / "thirty.csv").turn.shape == (90, 3)
    found = retarget(capture, EVERY)
    assert "jawOpen" in found
    assert "mouthPucker" not in found, "it is zero throughout"
    assert "gazeSide" not in found, "there is no such column"


def test_a_side_that_is_zero_throughout_is_not_driven_by_the_other():
    channels = {"eyeblinkleft": np.zeros(2), "eyeblinkright": np.ones(2), "eyeblink": np.ones(2)}
    found = retarget(arkit_capture(np.arange(2.0), channels), EVERY)
    assert found.keys() == {"eyeBlinkRight"}


@pytest.mark.parametrize("name", ["trailing_comma", "empty_end"])
def test_what_a_spreadsheet_adds_is_no_part_of_a_recording(name):
    capture, expected = (read_live_link(CASES / f"{each}.csv") for each in (name, "zero_head"))
    np.testing.assert_allclose(capture.times, expected.times)
    assert capture.channels.keys() == expected.channels.keys()


def test_a_clock_that_is_set_right_during_a_take_is_bridged():
    capture = read_live_link(CASES / "clock_step_back_40ms.csv")
    assert (np.diff(capture.times) > 0).all()
    np.testing.assert_allclose(np.diff(capture.times), 1 / 60, atol=1e-6)
    assert capture.notes == ("its clock steps back, by 23 ms at most: bridged",)


def test_lost_rows_are_bridged_and_told(tmp_path):
    capture, whole = (read_live_link(CASES / f"{name}.csv") for name in ("lost_rows_empty", "zero_head"))
    np.testing.assert_allclose(capture.times, whole.times)
    assert "10 of 90 moments lack values: bridged" in capture.notes
    lost = np.flatnonzero(capture.channels["jawopen"] != whole.channels["jawopen"])
    assert len(lost) <= 10
    np.testing.assert_allclose(np.diff(capture.channels["jawopen"][lost[0] - 1 : lost[-1] + 2], 2), 0, atol=1e-9)
    rows = [
        "10:00:00:00.0,61,0,0,0.5,0,0",
        "10:00:00:01.0,61,0,0,nan,0,0",
        "10:00:00:02.0,0",
        "10:00:00:03.0,61,0,0,0.8,0,0",
    ]
    bridged = read_live_link(live_link(tmp_path, [*rows, "10:00:00:04"]))
    np.testing.assert_allclose(bridged.channels["jawopen"], [0.5, 0.6, 0.7, 0.8])
    assert bridged.notes == ("line 6, the last, is cut short: left out", "2 of 4 moments lack values: bridged")


def test_of_columns_with_one_name_the_first_is_taken_and_that_is_told(tmp_path):
    path = live_link(tmp_path, ["10:00:00:00.0,61,0,0,0.5,0,0", "10:00:00:01.0,61,0,0,0.5,0,0"])
    lines = path.read_text().splitlines()
    path.write_text("\n".join([f"{lines[0]},EffigyBrowUp,EffigyBrowUp", *(f"{line},0.2,0.7" for line in lines[1:])]))
    capture = read_live_link(path)
    np.testing.assert_allclose(capture.channels["effigybrowup"], 0.2)
    assert capture.notes == ("more than one column is named effigybrowup: the first is taken",)
    path.write_text(path.read_text().replace("EffigyBrowUp", "Brow\x1b]0;a title\x07"))
    (note,) = read_live_link(path).notes
    assert not {"\x1b", "\x07"} & set(note), "Blender prints it to its terminal"


def test_a_gap_of_seconds_is_told_and_may_be_closed(tmp_path):
    rows = [f"10:00:{second:02d}:{frame:02d}.0,61,0,0,0.5,0,0" for second in (0, 1, 9) for frame in range(0, 60, 10)]
    capture = read_live_link(live_link(tmp_path, rows))
    assert capture.notes == ("a gap of 7.2 s at 1.8 s",)
    assert gaps_of(without_gaps(capture.times)) == []
    np.testing.assert_allclose(without_gaps(capture.times), np.arange(18) / 6)


def test_a_clock_that_stands_still_is_replaced_by_the_rate(tmp_path):
    capture = read_live_link(live_link(tmp_path, ["10:00:00:00.0,61,0,0,0.5,0,0"] * 4))
    np.testing.assert_allclose(capture.times, np.arange(4) / 60)
    assert capture.notes == ("its clock stands still: 60 moments per second are assumed",)


def test_an_image_sequence_is_spaced_by_its_frames():
    track = read_openface(CASES / "sequence.csv")
    np.testing.assert_allclose(track.times, np.arange(12) / 30)
    assert track.notes == ("its pictures have no times: 30 per second are taken",)


def test_of_a_track_in_pixels_and_millimetres_the_millimetres_are_taken():
    full, pixels = (read_openface(CASES / f"{name}.csv") for name in ("full", "pixels_only"))
    assert full.points.shape == pixels.points.shape == (12, 68, 2)
    across = [np.linalg.norm(track.points[0, 45] - track.points[0, 36]) for track in (full, pixels)]
    assert 80 < across[0] < 110, "millimetres between the outer corners of eyes"
    assert across[1] > 110


def test_of_two_faces_the_one_that_is_seen_longest_is_taken(tmp_path):
    names = ["frame", "face_id", "timestamp", "success", *(f"{axis}_{point}" for axis in "xy" for point in range(68))]
    seen = [(1, 0, 0.0, 1, 5), (1, 1, 0.0, 1, 7), (2, 0, 0.1, 0, 5), (2, 1, 0.1, 1, 7), (3, 1, 0.2, 1, 7)]
    rows = [",".join(map(str, [*row[:4], *[row[4]] * 136])) for row in seen]
    track = read_openface(live_link(tmp_path, rows, header=", ".join(names)))
    np.testing.assert_allclose(track.points[:, 0, 0], 7)
    np.testing.assert_allclose(track.times, [0, 0.1, 0.2])
    assert track.notes == ("2 faces are in it: number 1, which is seen longest, is taken",)


def test_of_openfaces_columns_with_one_name_the_first_is_taken_and_that_is_told(tmp_path):
    header, *rows = (CASES / "full.csv").read_text().splitlines()
    (tmp_path / "twice.csv").write_text("\n".join([f"{header},X_0", *(f"{row},junk" for row in rows)]))
    track, wanted = read_openface(tmp_path / "twice.csv"), read_openface(CASES / "full.csv")
    np.testing.assert_array_equal(track.points, wanted.points)
    assert track.notes == ("more than one column is named X_0: the first is taken",)
