# SPDX-License-Identifier: GPL-3.0-or-later
"""A bake resumes, knows what is stale, has 8 or 16 bits; and the check before a render tells what is wrong."""

from __future__ import annotations

from concurrent.futures import Future

import bpy
import numpy as np
import pytest
from conftest import addon, follower_of, stale_of
from helpers import begun_bake, go_on, key, render, swing

import effigy_client.errors
import effigy_client.face
import effigy_protocol.messages
import effigy_protocol.png


def test_a_bake_paints_only_what_is_missing_or_stale(scene, face):
    bake, session = addon("blender.pictures.bake"), addon("blender.pictures.session").session
    swing(face, scene, 20)

    def painted():
        return session.ensure_ready().link.call(effigy_protocol.messages.Status(), 300).painted

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


def test_a_face_with_a_name_as_long_as_blender_allows_is_baked(scene, face):
    """Its files' names are longer than its own, and have 255 bytes at most. No other face has its folder."""
    scene.frame_end, folders = 1, {}
    for name in ("F" * 255, "F" * 251 + ".001", "日" * 85):
        face.name = name  # up to Blender 4.5 the first 63 bytes
        bpy.ops.effigy.bake()
        folders[face.name] = folder = addon("blender.pictures.bake").folder_of(face)
        assert (folder / f"{folder.name}_0001.png").is_file()
        assert face.name.startswith(folder.name.partition("-")[0])
    assert len({*folders.values()}) == len(folders)


def test_a_stale_bake_is_told(scene, face, settle):
    bpy.ops.effigy.bake()
    bpy.context.view_layer.update()
    settle()
    assert not stale_of(face)
    face.data.shape_keys.key_blocks["jawOpen"].value = 1.0
    bpy.context.view_layer.update()
    settle()
    assert stale_of(face) == ["expression"]


def test_a_stale_bake_says_what_is_another(scene, face, settle):
    bpy.ops.effigy.bake()
    controls = addon("blender.scene.controls")

    def stale():
        bpy.context.view_layer.update()
        settle()
        return stale_of(face)

    assert stale() == []
    before = face.matrix_world.copy()
    face.rotation_euler.z += 0.1
    assert stale() == ["turn"]
    controls.set_values(face, {"jawOpen": 0.5})
    assert stale() == ["turn", "expression"]
    texts = [finding.text for finding in addon("blender.ui.preflight").findings(scene)]
    assert any("made with another turn, another expression; bake again" in text for text in texts), texts
    face.matrix_world = before
    controls.set_values(face, {"jawOpen": 0.0})
    face.location.x += 0.5
    scene.camera.location.x += 0.5
    assert stale() == ["place"]
    bpy.ops.effigy.change_identity(seed=11)
    assert "person" in stale()


@pytest.mark.parametrize("what", ["nearer", "rolled", "larger", "all together"])
def test_a_bake_in_the_wrong_place_is_stale_too(scene, face, settle, what):
    swing(face, scene, 20)
    bpy.ops.effigy.bake()
    scene.frame_set(2)
    settle()
    assert not stale_of(face)
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
    assert stale_of(face) == ["place"]
    assert any(
        "stale, made with another place" in finding.text for finding in addon("blender.ui.preflight").findings(scene)
    )


def test_a_plate_with_a_parent_is_told_before_a_bake(scene, face, settle):
    face.effigy.plate.parent = scene.camera
    with pytest.raises(RuntimeError, match="has a parent: clear it"):
        bpy.ops.effigy.bake()


def test_between_frames_and_where_the_plate_is_hidden_no_bake_is_stale(scene, face, settle):
    swing(face, scene, 20)
    bpy.ops.effigy.bake()
    bake = addon("blender.pictures.stale")
    scene.frame_set(2, subframe=0.5)
    assert not bake.stale_parts(face, scene, bpy.context.evaluated_depsgraph_get())
    face.effigy.plate.hide_viewport = True
    scene.frame_set(3)
    assert not bake.stale_parts(face, scene, bpy.context.evaluated_depsgraph_get())
    key(face, "jawOpen", (3, 1.0))
    scene.frame_set(3)
    assert bake.stale_parts(face, scene, bpy.context.evaluated_depsgraph_get())


def test_a_bake_is_one_step_to_undo(scene, face, settle):
    name = face.name
    bpy.ops.ed.undo_push(message="Before")
    bpy.ops.effigy.bake("EXEC_DEFAULT", True)
    assert bpy.data.objects[name].effigy.source == "BAKED"
    bpy.ops.ed.undo()
    face = bpy.data.objects[name]
    assert face.effigy.source == "LIVE"
    assert not addon("blender.scene.fcurves").curves_of(face.effigy.plate)
    bpy.ops.ed.redo()
    assert bpy.data.objects[name].effigy.source == "BAKED"
    folder = addon("blender.pictures.bake").folder_of(bpy.data.objects[name])
    assert len(list(folder.glob("*.png"))) == 4


def test_a_bake_that_cannot_be_shown_leaves_no_keys(scene, face, settle):
    face.effigy.plate.data.materials.clear()
    with pytest.raises(RuntimeError, match="lost its Picture node"):
        bpy.ops.effigy.bake()
    assert not addon("blender.scene.fcurves").curves_of(face.effigy.plate)


def test_baked_files_say_what_they_were_made_from(scene, face):
    import hashlib
    import json

    key(face, "jawOpen", (1, 0.25), (4, 1.0))
    bpy.ops.effigy.bake()
    folder = addon("blender.pictures.bake").folder_of(face)
    journal = json.loads((folder / "frames.json").read_text())
    for frame in range(1, 5):
        text = effigy_protocol.png.read_texts((folder / f"{folder.name}_{frame:04d}.png").read_bytes())["Effigy"]
        said, entry = json.loads(text), journal["frames"][str(frame)]
        assert said["model"] == face.effigy.model == entry["model"]
        assert said["digest"] == entry["digest"]
        assert said["latent"] == hashlib.sha256(face.effigy.anchor.latent_bytes()).hexdigest()[:16]
        scene.frame_set(frame)
        wanted = addon("blender.scene.reader").read_face(face, scene, bpy.context.evaluated_depsgraph_get())
        assert (said["yaw"], said["pitch"]) == (wanted.parameters.yaw, wanted.parameters.pitch)
        assert said["controls"] == dict(wanted.parameters.controls)
        assert said["controls"]["jawOpen"] >= 0.25
    findings = addon("blender.ui.preflight").findings
    assert not any("frames.json" in finding.text for finding in findings(scene))
    (folder / "frames.json").write_text('{"format": 1, "frames": {}, "more": "' + "x" * (2 << 20) + '"}')
    [told] = [finding.text for finding in findings(scene) if "frames.json" in finding.text]
    assert "more than 1 MiB" in told
    assert "may be stale; bake again" in told


def test_sixteen_bits_render_as_the_eight_bit_picture_and_are_finer(scene, face):
    scene.frame_end = 1
    bpy.ops.effigy.bake()
    (coarse,) = render(scene)
    face.effigy.bake_depth = "16"
    bpy.ops.effigy.bake()
    (fine,) = render(scene)
    assert np.abs(fine.astype(int) - coarse).max() <= 1
    folder = addon("blender.pictures.bake").folder_of(face)
    image = bpy.data.images.load(str(folder / f"{folder.name}_0001.png"), check_existing=False)
    values = np.empty(len(image.pixels), dtype=np.float32)
    image.pixels.foreach_get(values)
    bpy.data.images.remove(image)
    assert len(np.unique(values)) > 300, "there are no more levels than 8 bits have"


def test_preflight_lists_what_is_wrong(scene, face):
    findings = addon("blender.ui.preflight").findings
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
    bake = addon("blender.pictures.bake").Bake(face, scene)
    bake.step()
    bake.abandon()
    assert face.effigy.source == "BAKED"
    assert face.effigy.plate.animation_data is not None


def test_a_held_pose_survives_a_failing_backend(scene, face, monkeypatch):
    """Equal frames share a picture in memory: if one request fails and the other succeeds, both have their picture."""
    error = effigy_client.errors.RequestError("lost", "the connection is lost", "")
    addon("blender.pictures.runs").runs.memory.clear()
    cache = addon("blender.pictures.cache").Cache(face, scene)
    handle = follower_of(face).face
    asked, ask = [], handle.ask

    def fail_second(link, parameters, *arguments):
        asked.append(parameters)
        if len(asked) != 2:
            return ask(link, parameters, *arguments)
        failed = Future()
        failed.set_exception(error)
        return effigy_client.face.PendingPicture(handle, parameters, failed)

    monkeypatch.setattr(handle, "ask", fail_second)
    go_on(cache)


def test_a_bake_does_not_mix_identities(scene, face):
    bake = begun_bake(face, scene)
    bpy.ops.effigy.change_identity(seed=30)
    with pytest.raises(addon("blender.pictures.walk").WalkError, match="identity"):
        go_on(bake)


def test_a_stale_bake_is_rendered_and_said_to_be_stale(scene, face, monkeypatch):
    said = []
    monkeypatch.setattr(addon("blender.pictures.render"), "_say", said.append)
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
    addon("blender.ui.preflight").findings(scene)
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
    texts = [finding.text for finding in addon("blender.ui.preflight").findings(scene)]
    assert scene.frame_current == 2
    assert any("stale" in text and "frame 1, 4 frames in all" in text for text in texts), texts
    assert any("yaw is beyond" in text for text in texts), texts


def test_a_bake_stays_right_when_the_file_is_saved_under_another_name(scene, face, tmp_path):
    bpy.ops.effigy.bake()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "second.blend"))
    assert addon("blender.ui.preflight").findings(scene) == []
    key(face, "jawOpen", (1, 1.0), (4, 1.0))
    assert any("stale" in finding.text for finding in addon("blender.ui.preflight").findings(scene))
