# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures become keyframes; a cached range asks for nothing; a bake resumes, knows what is stale, has 8 or 16 bits."""

from __future__ import annotations

import socket
import struct
import time

import bpy
import numpy as np
import pytest
from conftest import addon
from helpers import key, pixels, read, render, swing


def keys_of(owner, path, index=0):
    curve = addon("blender.fcurves").curves_of(owner).find(path, index=index)
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
    assert scene.frame_end == 34
    scene.frame_set(20)
    turned = addon("blender.controls").angles_now(face, scene.camera)
    assert turned.yaw == pytest.approx(np.degrees(0.3), abs=0.05)
    assert turned.pitch == pytest.approx(0, abs=0.05)


def test_a_second_import_replaces_its_frames_and_no_others(scene, face, tmp_path):
    key(face, "jawOpen", (1, 0.25), (200, 0.75))
    path = live_link(tmp_path, np.ones(31), np.zeros(31))
    for _ in range(2):
        bpy.ops.effigy.import_arkit(filepath=path, start=10, smoothing=0.0)
    found = keys_of(face.data.shape_keys, 'key_blocks["jawOpen"].value')
    assert found[0].tolist() == [1, 0.25]
    assert found[-1].tolist() == [200, 0.75]
    assert len(found) == 2 + 13
    curve = addon("blender.fcurves").curves_of(face.data.shape_keys).find('key_blocks["jawOpen"].value')
    kinds = [point.interpolation for point in curve.keyframe_points]
    assert kinds == ["BEZIER", *["LINEAR"] * 13, "BEZIER"], "the artist's own keys lost their easing"


def test_a_bad_capture_says_why_and_changes_nothing(scene, face, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(RuntimeError, match="no Live Link Face recording"):
        bpy.ops.effigy.import_arkit(filepath=str(path))
    assert face.animation_data is None


def test_a_landmark_track_brings_turn_and_expression_back(scene, face, tmp_path):
    controls, pose = addon("blender.controls"), addon("core.pose")
    shape = controls.shape_of(face)
    names = [block.name for block in controls.blocks_of(face)]
    lines = [",".join(["timestamp", "success", *[f"{axis}_{i}" for axis in "xy" for i in range(68)]])]
    yaws, jaws = np.linspace(-20, 20, 12), np.linspace(0, 0.8, 12)
    for row, (yaw, jaw) in enumerate(zip(yaws, jaws, strict=True)):
        values = np.zeros(len(names))
        values[names.index("jawOpen")] = jaw
        sight = pose.View(np.eye(4), np.eye(4), False)
        R = pose.head_rotation(pose.Angles(yaw, 0.0, 0.0), sight)
        seen = 200 * (shape.points(values) @ R.T)[:, :2] + 400
        lines.append(",".join(map(str, [row / 24, 1, *seen[:, 0], *(-seen[:, 1])])))
    path = tmp_path / "track.csv"
    path.write_text("\n".join(lines))
    scene.render.fps = 24
    assert bpy.ops.effigy.import_landmarks(filepath=str(path), smoothing=0.0, calibrate=False) == {"FINISHED"}
    found = keys_of(face.data.shape_keys, 'key_blocks["jawOpen"].value')[:, 1]
    np.testing.assert_allclose(found, jaws, atol=0.12)
    for frame, yaw in ((1, -20), (12, 20)):
        scene.frame_set(frame)
        assert controls.angles_now(face, scene.camera).yaw == pytest.approx(yaw, abs=3)


def test_a_cached_range_asks_for_nothing_and_shows_the_exact_pictures(scene, face, settle):
    session, preview = addon("blender.session"), addon("blender.preview")
    swing(face, scene, 20)
    scene.frame_end = 12
    assert bpy.ops.effigy.cache() == {"FINISHED"}
    settle()
    painted = session.ensure_ready().call(addon("protocol.messages").Status(), 5).painted
    shown, spent = [], 0.0
    for frame in range(1, 13):
        scene.frame_set(frame)
        started = time.perf_counter()
        preview.look()
        spent += time.perf_counter() - started
        shown.append(pixels(face.effigy.image))
    assert session.ensure_ready().call(addon("protocol.messages").Status(), 5).painted == painted
    bpy.ops.effigy.bake()
    folder = addon("blender.bake").folder_of(face)
    for frame, picture in enumerate(shown, 1):
        np.testing.assert_array_equal(picture, read(folder / f"{folder.name}_{frame:04d}.png"))
    session.state.memory.clear()


def test_a_bake_paints_only_what_is_missing_or_stale(scene, face):
    bake, session = addon("blender.bake"), addon("blender.session")
    swing(face, scene, 20)

    def painted():
        return session.ensure_ready().call(addon("protocol.messages").Status(), 5).painted

    before = painted()
    bpy.ops.effigy.bake()
    assert painted() == before + 4
    folder = bake.folder_of(face)
    stamps = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.png")}
    (folder / f"{folder.name}_0002.png").unlink()
    bpy.ops.effigy.bake()
    assert painted() == before + 5
    kept = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.png")}
    assert [name for name in stamps if kept[name] != stamps[name]] == [f"{folder.name}_0002.png"]
    key(face, "jawOpen", (3, 0.0), (4, 1.0))
    bpy.ops.effigy.bake()
    assert painted() == before + 6, "frame 4 alone has changed"


def test_a_stale_bake_is_told(scene, face, settle):
    session = addon("blender.session")
    bpy.ops.effigy.bake()
    bpy.context.view_layer.update()
    settle()
    assert not session.run_of(face).stale
    face.data.shape_keys.key_blocks["jawOpen"].value = 1.0
    bpy.context.view_layer.update()
    settle()
    assert session.run_of(face).stale


@pytest.mark.parametrize("what", ["nearer", "rolled", "larger", "all together"])
def test_a_bake_in_the_wrong_place_is_stale_too(scene, face, settle, what):
    session = addon("blender.session")
    swing(face, scene, 20)
    bpy.ops.effigy.bake()
    scene.frame_set(2)
    settle()
    assert not session.run_of(face).stale
    parent = bpy.data.objects.new("Parent", None)
    scene.collection.objects.link(parent)
    sight = face.matrix_world.translation - scene.camera.matrix_world.translation
    parent.location = scene.camera.matrix_world.translation if what == "rolled" else face.matrix_world.translation
    bpy.context.view_layer.update()
    for obj in [face, *([scene.camera] if what == "all together" else [])]:
        obj.parent, obj.matrix_parent_inverse = parent, parent.matrix_world.inverted()
    if what == "rolled":
        parent.rotation_mode, parent.rotation_axis_angle = "AXIS_ANGLE", (0.2, *sight.normalized())
    elif what == "larger":
        parent.scale = (1.2, 1.2, 1.2)
    else:
        parent.location -= sight * 0.1
    bpy.context.view_layer.update()
    settle()
    assert session.run_of(face).stale
    assert any("stale" in finding.text for finding in addon("blender.preflight").findings(scene))


def test_a_plate_with_a_parent_is_told_before_a_bake(scene, face, settle):
    face.effigy.plate.parent = scene.camera
    with pytest.raises(RuntimeError, match="has a parent: clear it"):
        bpy.ops.effigy.bake()


def test_between_frames_and_where_the_plate_is_hidden_no_bake_is_stale(scene, face, settle):
    swing(face, scene, 20)
    bpy.ops.effigy.bake()
    bake = addon("blender.bake")
    scene.frame_set(2, subframe=0.5)
    assert not bake.is_stale(face, scene, bpy.context.evaluated_depsgraph_get())
    face.effigy.plate.hide_viewport = True
    scene.frame_set(3)
    assert not bake.is_stale(face, scene, bpy.context.evaluated_depsgraph_get())
    key(face, "jawOpen", (3, 1.0))
    scene.frame_set(3)
    assert bake.is_stale(face, scene, bpy.context.evaluated_depsgraph_get())


def test_a_bake_is_one_step_to_undo(scene, face, settle):
    name = face.name
    bpy.ops.ed.undo_push(message="Before")
    bpy.ops.effigy.bake("EXEC_DEFAULT", True)
    assert bpy.data.objects[name].effigy.source == "BAKED"
    bpy.ops.ed.undo()
    face = bpy.data.objects[name]
    assert face.effigy.source == "LIVE"
    assert not addon("blender.fcurves").curves_of(face.effigy.plate)
    bpy.ops.ed.redo()
    assert bpy.data.objects[name].effigy.source == "BAKED"
    folder = addon("blender.bake").folder_of(bpy.data.objects[name])
    assert len(list(folder.glob("*.png"))) == 4


def test_a_bake_that_cannot_be_shown_leaves_no_keys(scene, face, settle):
    face.effigy.plate.data.materials.clear()
    with pytest.raises(RuntimeError, match="lost its Picture node"):
        bpy.ops.effigy.bake()
    assert not addon("blender.fcurves").curves_of(face.effigy.plate)


def test_baked_files_say_what_they_were_made_from(scene, face):
    import hashlib
    import json

    key(face, "jawOpen", (1, 0.25), (4, 1.0))
    bpy.ops.effigy.bake()
    folder = addon("blender.bake").folder_of(face)
    journal = json.loads((folder / "frames.json").read_text())
    for frame in range(1, 5):
        text = addon("core.png").read_texts((folder / f"{folder.name}_{frame:04d}.png").read_bytes())["Effigy"]
        said, entry = json.loads(text), journal["frames"][str(frame)]
        assert said["model"] == face.effigy.model == entry["model"]
        assert said["digest"] == entry["digest"]
        assert said["latent"] == hashlib.sha256(face.effigy.latent_bytes()).hexdigest()[:16]
        scene.frame_set(frame)
        wanted = addon("blender.scene_reader").read_face(face, scene, bpy.context.evaluated_depsgraph_get())
        assert (said["yaw"], said["pitch"]) == (wanted.yaw, wanted.pitch)
        assert said["controls"] == dict(wanted.controls)
        assert said["controls"]["jawOpen"] >= 0.25


def test_sixteen_bits_render_as_the_eight_bit_picture_and_are_finer(scene, face):
    scene.frame_end = 1
    bpy.ops.effigy.bake()
    (coarse,) = render(scene)
    face.effigy.bake_depth = "16"
    bpy.ops.effigy.bake()
    (fine,) = render(scene)
    assert np.abs(fine.astype(int) - coarse).max() <= 1
    folder = addon("blender.bake").folder_of(face)
    image = bpy.data.images.load(str(folder / f"{folder.name}_0001.png"), check_existing=False)
    values = np.empty(len(image.pixels), dtype=np.float32)
    image.pixels.foreach_get(values)
    bpy.data.images.remove(image)
    assert len(np.unique(values)) > 300, "there are no more levels than 8 bits have"


def test_preflight_lists_what_is_wrong(scene, face):
    findings = addon("blender.preflight").findings
    assert findings(scene) == []
    scene.view_settings.view_transform = "AgX"
    assert any("AgX" in finding.text for finding in findings(scene))
    bpy.ops.effigy.bake()
    scene.frame_end = 9
    errors = [finding.text for finding in findings(scene) if finding.level == "error"]
    assert any("only frames 1 to 4" in text for text in errors)
    camera, scene.camera = scene.camera, None
    assert any("no camera" in finding.text for finding in findings(scene))
    scene.camera = camera


def test_a_bake_that_is_stopped_leaves_a_baked_face_baked(scene, face):
    bpy.ops.effigy.bake()
    bake = addon("blender.bake").Bake(face, scene)
    bake.step()
    bake.abandon()
    assert face.effigy.source == "BAKED"
    assert face.effigy.plate.animation_data is not None


def test_a_held_pose_survives_a_failing_backend(scene, face, monkeypatch):
    """Equal frames share a picture in memory: one that failed is not waited for when the other has come."""
    walk = addon("blender.walk")
    error = addon("core.client").RequestError("lost", "the connection is lost", "")
    addon("blender.session").state.memory.clear()
    cache = addon("blender.cache").Cache(face, scene)
    asked, ask = [], cache.walk._ask

    def fail_second(wanted):
        asked.append(wanted)
        if len(asked) != 2:
            return ask(wanted)
        failed = walk.futures.Future()
        failed.set_exception(error)
        return failed

    monkeypatch.setattr(cache.walk, "_ask", fail_second)
    end = time.monotonic() + 20
    while not cache.walk.is_done:
        assert time.monotonic() < end
        cache.step()
        addon("blender.session").pause()


def test_a_bake_does_not_mix_identities(scene, face):
    bake = addon("blender.bake").Bake(face, scene)
    while bake.step() < 1:
        addon("blender.session").pause()
    bpy.ops.effigy.change_identity(seed=30)

    def go_on():
        for _ in range(200):
            bake.step()
            addon("blender.session").pause()

    with pytest.raises(addon("blender.walk").WalkError, match="identity"):
        go_on()


def test_a_stale_bake_is_rendered_and_said_to_be_stale(scene, face, monkeypatch):
    said = []
    monkeypatch.setattr(addon("blender.render"), "_say", said.append)
    bpy.ops.effigy.bake()
    render(scene)
    assert said == []
    key(face, "jawOpen", (3, 0.0), (4, 1.0))
    render(scene)
    assert len(said) == 1
    assert "from frame 4 on" in said[0]


def test_preflight_leaves_what_is_not_keyed_yet(scene, face):
    bpy.ops.effigy.add_face(seed=4)
    other = bpy.context.active_object
    for proxy in (face, other):
        key(proxy, "jawOpen", (1, 0.0), (4, 0.2))
        swing(proxy, scene, 10)
    other.hide_render = other.effigy.plate.hide_render = True  # it is animated, and the check need not look at it
    camera = scene.camera
    camera.keyframe_insert("location", frame=1)
    scene.timeline_markers.new("Cut", frame=3).camera = other.effigy.camera
    scene.frame_set(2)
    values = {proxy: proxy.data.shape_keys.key_blocks["jawOpen"] for proxy in (face, other)}
    for proxy, block in values.items():
        block.value, proxy.rotation_euler.z = 0.5, 0.25
    scene.camera = camera
    camera.location.x = 0.75
    addon("blender.preflight").findings(scene)
    assert scene.frame_current == 2
    for proxy, block in values.items():
        assert (block.value, proxy.rotation_euler.z) == (0.5, 0.25)
    assert scene.camera == camera
    assert camera.location.x == 0.75


def test_preflight_looks_at_every_frame(scene, face):
    bpy.ops.effigy.bake()
    key(face, "jawOpen", (3, 0.0), (4, 1.0))
    swing(face, scene, 80)
    scene.frame_set(2)
    texts = [finding.text for finding in addon("blender.preflight").findings(scene)]
    assert scene.frame_current == 2
    assert any("stale" in text and "frame 1, 4 frames in all" in text for text in texts), texts
    assert any("yaw is beyond" in text for text in texts), texts


def test_a_bake_stays_right_when_the_file_is_saved_under_another_name(scene, face, tmp_path):
    bpy.ops.effigy.bake()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "second.blend"))
    assert addon("blender.preflight").findings(scene) == []
    key(face, "jawOpen", (1, 1.0), (4, 1.0))
    assert any("stale" in finding.text for finding in addon("blender.preflight").findings(scene))


@pytest.fixture()
def capture(face):
    """Makes a capture of the face on a free port, and what sends a moment to it."""
    live, link = addon("blender.live_capture"), addon("core.live_link")
    listener = link.Listener("127.0.0.1", 0)
    phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def start(**options):
        return live.LiveCapture(face, listener, **options)

    def send(running, scene, **values):
        for sent in (b"nonsense", packed(link, dict.fromkeys(link.ARKIT, 0.0) | values)):
            phone.sendto(sent, ("127.0.0.1", listener.port))
        packets = listener.packets
        end = time.monotonic() + 5
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
    assert addon("blender.controls").angles_now(face, scene.camera).yaw == pytest.approx(np.degrees(0.2), abs=0.01)
    assert keys_of(face.data.shape_keys, 'key_blocks["jawOpen"].value')[:, 0].tolist() == [1, 2]
    assert keys_of(face, "rotation_euler", 2)[:, 0].tolist() == [1, 2]
    assert addon("blender.fcurves").curves_of(face).find("location") is None, "the head's place was not captured"


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
        seen = addon("blender.controls").angles_now(face, scene.camera)
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
    assert addon("blender.session").state.capture is None


def packed(link, values):
    """A packet as the Live Link Face app sends them."""
    names = struct.pack(">i36si4s", 36, b"D" * 36, 4, b"Face")
    moment = struct.pack(">ifiib", 7, 0.0, 60, 1, len(link.ARKIT))
    return b"\x06" + names + moment + struct.pack(">61f", *(values[name] for name in link.ARKIT))
