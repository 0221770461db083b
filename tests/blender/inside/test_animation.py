# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures become keyframes; a cached range needs no request."""

from __future__ import annotations

import socket
import struct
import time
from pathlib import Path

import bpy
import numpy as np
import pytest
from conftest import addon
from helpers import key, pixels, read, swing
from test_evaluated import assert_drawn

import effigy_client.capture.live_link
import effigy_client.pose
import effigy_protocol.messages

CASES = Path(__file__).parents[2] / "fixtures" / "captures"


def keys_of(owner, path, index=0):
    curve = addon("blender.scene.fcurves").curves_of(owner).find(path, index=index)
    return np.array([point.co[:] for point in curve.keyframe_points])


def live_link(tmp_path, jaw, yaw):
    lines = ["Timecode,BlendShapeCount,JawOpen,MouthSmileLeft,MouthSmileRight,HeadYaw,HeadPitch,HeadRoll"]
    for row, (opening, turn) in enumerate(zip(jaw, yaw, strict=True)):
        lines.append(f"10:00:{row // 60:02d}:{row % 60:02d}.000,61,{opening},0,0,{turn},0,0")
    path = tmp_path / "take.csv"
    path.write_text("\n".join(lines))
    return str(path)


def test_an_arkit_capture_becomes_keys_at_the_scenes_rate(scene, face, tmp_path):
    scene.render.fps = 24
    jaw = np.linspace(0, 1, 61)
    path = live_link(tmp_path, jaw, np.full(61, 0.3))
    assert bpy.ops.effigy.import_arkit(filepath=path, start=10, smoothing=0.0) == {"FINISHED"}
    found = keys_of(face.data.shape_keys, 'key_blocks["jawOpen"].value')
    np.testing.assert_allclose(found[:, 0], 10 + np.arange(25))
    high = face.data.shape_keys.key_blocks["jawOpen"].slider_max
    np.testing.assert_allclose(found[:, 1], np.linspace(0, 1, 25) * high, atol=1e-5)
    assert scene.frame_end == 34, "the scene goes on where nothing moves"
    scene.frame_set(20)
    turned = addon("blender.scene.controls").angles_now(face, scene.camera)
    assert turned.yaw == pytest.approx(np.degrees(0.3), abs=0.05)
    assert turned.pitch == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(
    ("end", "other", "expected"),
    [
        (250, None, 25),  # the length of Blender's default scene, which nobody chose
        (250, 120, 120),  # other animation goes on longer
        (250, 400, 250),
        (100, None, 100),  # a length that somebody chose
        (10, None, 25),
    ],
)
def test_a_scene_ends_with_the_capture_unless_something_goes_on(scene, face, tmp_path, capsys, end, other, expected):
    scene.render.fps, scene.frame_end = 24, end
    if other is not None:
        scene.camera.keyframe_insert("location", frame=other)
    path = live_link(tmp_path, np.ones(61), np.ones(61))
    assert bpy.ops.effigy.import_arkit(filepath=path, smoothing=0.0) == {"FINISHED"}
    assert scene.frame_end == expected
    assert (f"the scene now ends at {expected}" in capsys.readouterr().out) == (end != expected)


def test_sound_that_goes_on_keeps_the_scenes_end(scene, face, tmp_path):
    scene.render.fps, scene.frame_end = 24, 250
    editor = scene.sequence_editor_create()
    strips = editor.strips if bpy.app.version >= (4, 4, 0) else editor.sequences
    length = {"length": 80} if bpy.app.version >= (5, 0, 0) else {"frame_end": 81}
    strips.new_effect(name="Title", type="COLOR", channel=1, frame_start=1, **length)
    path = live_link(tmp_path, np.ones(61), np.ones(61))
    assert bpy.ops.effigy.import_arkit(filepath=path, smoothing=0.0) == {"FINISHED"}
    assert scene.frame_end == 80


def test_a_capture_beyond_blenders_last_frame_is_refused(scene, face, tmp_path):
    path = live_link(tmp_path, np.ones(61), np.ones(61))
    with pytest.raises(RuntimeError, match="Blender's last is 1048574"):
        bpy.ops.effigy.import_arkit(filepath=path, start=1_048_570)
    assert face.animation_data is None


def test_a_second_import_replaces_its_frames_and_no_others(scene, face, tmp_path):
    key(face, "jawOpen", (1, 0.25), (200, 0.75))
    path = live_link(tmp_path, np.ones(31), np.zeros(31))
    for _ in range(2):
        bpy.ops.effigy.import_arkit(filepath=path, start=10, smoothing=0.0)
    found = keys_of(face.data.shape_keys, 'key_blocks["jawOpen"].value')
    assert found[0].tolist() == [1, 0.25]
    assert found[-1].tolist() == [200, 0.75]
    assert len(found) == 2 + 13
    curve = addon("blender.scene.fcurves").curves_of(face.data.shape_keys).find('key_blocks["jawOpen"].value')
    kinds = [point.interpolation for point in curve.keyframe_points]
    assert kinds == ["BEZIER", *["LINEAR"] * 13, "BEZIER"], "the artist's own keys lost their easing"


@pytest.mark.parametrize("name", ["no_head", "zero_head"])
def test_what_a_capture_lacks_stays_as_it_is_keyed(scene, face, capsys, name):
    controls = addon("blender.scene.controls")
    key(face, "mouthPucker", (1, 0.25), (36, 0.75))
    for frame, yaw in ((1, -20.0), (36, 20.0)):
        controls.turn(face, scene.camera, effigy_client.pose.Angles(yaw, 0.0, 0.0))
        controls.key_turn(face, frame)
    path = controls.rotation_path(face)
    before = [keys_of(face, path, index) for index in range(3)]
    assert bpy.ops.effigy.import_arkit(filepath=str(CASES / f"{name}.csv")) == {"FINISHED"}
    for index in range(3):
        np.testing.assert_array_equal(keys_of(face, path, index), before[index])
    pucker = keys_of(face.data.shape_keys, 'key_blocks["mouthPucker"].value')
    np.testing.assert_array_equal(pucker, [[1, 0.25], [36, 0.75]])
    assert len(keys_of(face.data.shape_keys, 'key_blocks["jawOpen"].value')) > 2
    assert "no data for mouthPucker, the head's turn: left as before" in capsys.readouterr().out


def test_a_capture_in_which_nothing_moves_changes_nothing(scene, face, tmp_path):
    with pytest.raises(RuntimeError, match="all its channels are zero"):
        bpy.ops.effigy.import_arkit(filepath=live_link(tmp_path, np.zeros(61), np.zeros(61)))
    assert face.animation_data is None
    assert face.data.shape_keys.animation_data is None


def test_a_bad_capture_says_why_and_changes_nothing(scene, face, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(RuntimeError, match="no Live Link Face recording"):
        bpy.ops.effigy.import_arkit(filepath=str(path))
    assert face.animation_data is None


def write_track(face, path, yaws, jaws):
    """Writes what a tracker of 68 points would see of this face."""
    controls, pose = addon("blender.scene.controls"), effigy_client.pose
    shape = controls.shape_of(face)
    names = [block.name for block in controls.blocks_of(face)]
    lines = [",".join(["timestamp", "success", *[f"{axis}_{i}" for axis in "xy" for i in range(68)]])]
    for row, (yaw, jaw) in enumerate(zip(yaws, jaws, strict=True)):
        values = np.zeros(len(names))
        values[names.index("jawOpen")] = jaw
        view = pose.View(np.eye(4), np.eye(4), False)
        R = pose.head_rotation(pose.Angles(yaw, 0.0, 0.0), view)
        seen = 200 * (shape.points(values)[:68] @ R.T)[:, :2] + 400
        lines.append(",".join(map(str, [row / 24, 1, *seen[:, 0], *(-seen[:, 1])])))
    path.write_text("\n".join(lines))


def imports_track(face, scene, path):
    """Imports a track that turns and opens the mouth; checks both."""
    yaws, jaws = np.linspace(-20, 20, 12), np.linspace(0, 0.8, 12)
    write_track(face, path, yaws, jaws)
    scene.render.fps = 24
    assert bpy.ops.effigy.import_landmarks(filepath=str(path), smoothing=0.0, calibrate=False) == {"FINISHED"}
    found = keys_of(face.data.shape_keys, 'key_blocks["jawOpen"].value')[:, 1]
    np.testing.assert_allclose(found, jaws, atol=0.12)
    angles_now = addon("blender.scene.controls").angles_now
    for frame, yaw in ((1, -20), (12, 20)):
        scene.frame_set(frame)
        assert angles_now(face, scene.camera).yaw == pytest.approx(yaw, abs=3)


def test_a_landmark_track_brings_turn_and_expression_back(scene, face, tmp_path):
    imports_track(face, scene, tmp_path / "track.csv")


def test_a_cached_range_asks_for_nothing_and_shows_the_exact_pictures(scene, face, settle):
    session, preview = addon("blender.pictures.session").session, addon("blender.pictures.preview")
    swing(face, scene, 20)
    scene.frame_end = 12
    assert bpy.ops.effigy.cache() == {"FINISHED"}
    settle()
    painted = session.ensure_ready().link.call(effigy_protocol.messages.Status(), 300).painted
    shown = []
    for frame in range(1, 13):
        scene.frame_set(frame)
        preview.look()
        shown.append(pixels(face.effigy.image))
    assert session.ensure_ready().link.call(effigy_protocol.messages.Status(), 300).painted == painted
    bpy.ops.effigy.bake()
    folder = addon("blender.pictures.bake").folder_of(face)
    for frame, picture in enumerate(shown, 1):
        np.testing.assert_array_equal(picture, read(folder / f"{folder.name}_{frame:04d}.png"))
    addon("blender.pictures.runs").runs.memory.clear()


@pytest.fixture()
def capture(face):
    """Starts a capture of the face on a free port; returns it and a function that sends a moment to it."""
    link = effigy_client.capture.live_link
    listener = link.Listener("127.0.0.1", 0)
    phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def start(**options):
        return addon("blender.ui.capture_motion").LiveCapture(face, listener, **options)

    def send(running, scene, **values):
        for sent in (b"nonsense", packed(link, dict.fromkeys(link.ARKIT, 0.0) | values)):
            phone.sendto(sent, ("127.0.0.1", listener.port))
        packets = listener.packets
        end = time.monotonic() + 300
        while listener.packets == packets:
            assert time.monotonic() < end
            running.step(scene)
        bpy.context.view_layer.update()

    yield start, send
    phone.close()
    listener.close()
    bpy.context.scene.tool_settings.use_keyframe_insert_auto = False


def test_a_live_capture_moves_the_face_and_keys_what_it_moves(scene, face, capture):
    start, send = capture
    scene.tool_settings.use_keyframe_insert_auto = True
    running = start()
    for frame, yaw in ((1, 0.1), (2, 0.2)):
        scene.frame_set(frame)
        send(running, scene, jawopen=0.5, headyaw=yaw)
    block = face.data.shape_keys.key_blocks["jawOpen"]
    assert block.value == pytest.approx(block.slider_max / 2)
    assert addon("blender.scene.controls").angles_now(face, scene.camera).yaw == pytest.approx(
        np.degrees(0.2), abs=0.01
    )
    assert keys_of(face.data.shape_keys, 'key_blocks["jawOpen"].value')[:, 0].tolist() == [1, 2]
    assert keys_of(face, "rotation_euler", 2)[:, 0].tolist() == [1, 2]
    assert addon("blender.scene.fcurves").curves_of(face).find("location") is None, "the head's place was not captured"
    assert_drawn("a live capture")


def test_a_capture_without_the_head_keeps_the_artists_turn(scene, face, capture):
    start, send = capture
    swing(face, scene, 20)
    before = keys_of(face, "rotation_euler", 2)
    scene.tool_settings.use_keyframe_insert_auto = True
    running = start(head=False)
    for frame in (2, 3):
        scene.frame_set(frame)
        send(running, scene, jawopen=0.5, headyaw=0.5)
    np.testing.assert_array_equal(keys_of(face, "rotation_euler", 2), before)
    assert len(keys_of(face.data.shape_keys, 'key_blocks["jawOpen"].value')) == 2


def test_a_mirrored_capture_turns_and_tilts_the_other_way(scene, face, capture):
    start, send = capture
    for flip, sign in ((False, 1), (True, -1)):
        send(start(flip=flip), scene, headyaw=0.2, headpitch=-0.1, headroll=0.15)
        seen = addon("blender.scene.controls").angles_now(face, scene.camera)
        assert seen.yaw == pytest.approx(sign * np.degrees(0.2), abs=0.1)
        assert seen.pitch == pytest.approx(np.degrees(0.1), abs=0.1)
        assert seen.roll == pytest.approx(sign * np.degrees(0.15), abs=0.1)


def test_captured_turns_never_go_the_long_way_round(scene, face, capture):
    start, send = capture
    scene.camera.location.y *= -1  # behind the head: half a turn away, where angles jump
    scene.camera.rotation_euler.z += np.pi
    bpy.context.view_layer.update()
    scene.tool_settings.use_keyframe_insert_auto = True
    running = start()
    for frame, yaw in enumerate((0.03, -0.03, 0.03, -0.03), 1):
        scene.frame_set(frame)
        send(running, scene, headyaw=yaw)
    turns = np.stack([keys_of(face, "rotation_euler", axis)[:, 1] for axis in range(3)])
    assert np.abs(np.diff(turns, axis=1)).max() < 0.2


def test_no_capture_starts_without_a_window(scene, face):
    with pytest.raises(RuntimeError, match="needs a window"):
        bpy.ops.effigy.live_capture("EXEC_DEFAULT")
    assert not addon("blender.ui.live_capture").is_running()


def packed(link, values):
    """Returns a packet in the format of the Live Link Face app."""
    names = struct.pack(">i36si4s", 36, b"D" * 36, 4, b"Face")
    moment = struct.pack(">ifiib", 7, 0.0, 60, 1, len(link.ARKIT))
    return b"\x06" + names + moment + struct.pack(">61f", *(values[name] for name in link.ARKIT))


def test_a_keyed_slider_that_is_dragged_stays_where_it_is(scene, face, settle):
    """Looks, pictures and their answers must not have Blender evaluate the keys, which would put the slider back."""
    scene.frame_start, scene.frame_end = 1, 12
    settle()
    scene.frame_set(1)
    assert bpy.ops.effigy.key_all() == {"FINISHED"}
    scene.frame_set(12)
    jaw, preview = face.data.shape_keys.key_blocks["jawOpen"], addon("blender.pictures.preview")
    for value in np.linspace(0.05, 0.6, 12):
        jaw.value = value
        bpy.context.view_layer.update()
        for _ in range(4):
            preview.tick()
            time.sleep(0.02)
        assert jaw.value == pytest.approx(value)
    settle()
    assert jaw.value == pytest.approx(0.6)
