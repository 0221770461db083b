# SPDX-License-Identifier: GPL-3.0-or-later
"""What artists do to scenes besides posing: delete, rename, append, link, undo and redo; and how soon it shows."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from conftest import PACKAGE, addon, follower_of, stale_of
from helpers import key, open_mouth_as_a_step, pixels

# Everything that the panel offers, so that F3 and the keyboard find it.
PANEL_ONLY = {"apply_expression", "remove_expression", "grab", "remove_photo", "stop_portrait"}
ELSEWHERE = {"bake_all", "choose_model", "export_keys", "hide"}  # for scripts, in the preferences, in File ▸ Export
ELSEWHERE |= {"bake_layers", "export_arkit"}  # in File ▸ Export
ELSEWHERE |= {"read_film", "read_picture", "make_person"}  # by what asks for files
ELSEWHERE |= {"install_backend", "cancel_install", "remove_backend", "carry_over"}  # the preferences


def look():
    return addon("blender.pictures.preview").tick()


def sleep(settle):
    """Lets the preview come to rest, and the timer with it."""
    settle()
    preview = addon("blender.pictures.preview")
    for _ in range(100):
        if 0.1 < preview.tick() < 1.0:  # a second: an exception
            return preview
    raise AssertionError("the preview never rests")


def test_a_resting_preview_does_not_look_at_the_scene(scene, face, settle, monkeypatch):
    preview = sleep(settle)
    monkeypatch.setattr(preview, "known_faces", lambda scene: pytest.fail("it looked"))
    for _ in range(20):
        assert 0.1 < preview.tick() < 1.0


@pytest.mark.parametrize("source", ["LIVE", "BAKED"])
def test_without_a_backend_nobody_looks_at_an_unchanged_scene(scene, face, settle, monkeypatch, source):
    if source == "BAKED":
        assert bpy.ops.effigy.bake() == {"FINISHED"}
    preview, session = sleep(settle), addon("blender.pictures.session").session
    bpy.ops.effigy.disconnect()
    try:
        for _ in range(200):
            preview.tick()
            if not session.is_leaving:
                break
            time.sleep(0.05)
        preview.tick()
        looks = []
        monkeypatch.setattr(preview, "known_faces", lambda scene: looks.append(1) or [face])
        assert all(preview.tick() == preview._IDLE_S for _ in range(20))
        assert looks == []
        face.location.x += 0.1
        bpy.context.view_layer.update()
        preview.tick()
        assert looks == [1], "a change is looked at"
    finally:
        monkeypatch.undo()
        bpy.ops.effigy.connect()
        session.ensure_ready()
    settle()
    assert source == "BAKED" or follower_of(face).is_exact


def test_a_remembered_frame_is_shown_within_that_frame(scene, face, settle):
    # A viewport render draws the frame before any timer looks.
    key(face, "jawOpen", (1, 0.0), (4, 1.0))
    scene.frame_set(1)
    settle()
    assert bpy.ops.effigy.cache() == {"FINISHED"}
    settle()
    shown = []
    for frame in (2, 3, 4):
        scene.frame_set(frame)
        shown.append(pixels(face.effigy.image))
        assert follower_of(face).is_exact
    assert len({picture.tobytes() for picture in shown}) == 3
    for frame, picture in zip((2, 3, 4), shown, strict=True):
        scene.frame_set(frame)
        settle()
        np.testing.assert_array_equal(pixels(face.effigy.image), picture)


def test_the_plate_moves_with_a_remembered_frame(scene, face, settle):
    face.keyframe_insert("location", frame=1)
    scene.frame_set(4)
    # Away from the camera, which needs no other picture.
    sight = face.matrix_world.translation - scene.camera.matrix_world.translation
    face.location += sight * 0.3
    face.keyframe_insert("location", frame=4)
    settle()
    assert bpy.ops.effigy.cache() == {"FINISHED"}
    settle()
    for frame in (1, 3, 4):
        scene.frame_set(frame)
        depsgraph = bpy.context.evaluated_depsgraph_get()
        wanted = addon("blender.scene.reader").read_face(face, scene, depsgraph)
        np.testing.assert_allclose(np.array(face.effigy.plate.matrix_world), wanted.plate, atol=1e-4)


def test_frames_of_another_scene_are_not_shown_in_this_one(scene, face, settle):
    key(face, "jawOpen", (1, 0.0), (4, 1.0))
    scene.frame_set(1)
    assert bpy.ops.effigy.cache() == {"FINISHED"}
    settle()
    shown = pixels(face.effigy.image)
    other = bpy.data.scenes.new("Other")
    other.collection.children.link(face.users_collection[0])
    other.camera = scene.camera
    other.frame_set(4)
    np.testing.assert_array_equal(pixels(face.effigy.image), shown)
    bpy.data.scenes.remove(other)


def test_a_change_wakes_the_preview_at_once(scene, face, settle):
    preview = sleep(settle)
    assert preview._timer.is_asleep
    face.data.shape_keys.key_blocks["jawOpen"].value = 1.0
    bpy.context.view_layer.update()
    assert not preview._timer.is_asleep
    assert bpy.app.timers.is_registered(preview.tick)
    settle()


def test_every_frame_of_a_cached_range_wakes_the_preview(scene, face, settle):
    key(face, "jawOpen", (1, 0.0), (4, 1.0))
    settle()
    assert bpy.ops.effigy.cache() == {"FINISHED"}
    shown = []
    for frame in (1, 2, 3, 4):
        preview = sleep(settle)
        scene.frame_set(frame)
        assert not preview._timer.is_asleep
        preview.tick()
        shown.append(pixels(face.effigy.image))
        assert follower_of(face).is_exact, "what is cached is exact at once"
    assert all((a != b).any() for a, b in itertools.pairwise(shown))


def test_a_cached_frame_that_was_posed_anew_says_so(scene, face, settle):
    key(face, "jawOpen", (1, 0.0), (4, 1.0))
    settle()
    assert bpy.ops.effigy.cache() == {"FINISHED"}
    run = addon("blender.pictures.runs").run_of(face).cached
    scene.frame_set(2)
    look()
    assert run.state == "fresh"
    face.data.shape_keys.key_blocks["mouthSmile"].value = 0.5
    bpy.context.view_layer.update()
    look()
    assert (run.state, run.differs) == ("stale", ["expression"])
    settle()
    assert bpy.ops.effigy.cache() == {"FINISHED"}
    look()
    assert run.state == "fresh"
    scene.frame_set(9)
    look()
    assert run.state == ""


def test_the_preferences_say_how_much_is_remembered(scene, face, settle):
    settle()
    preferences = bpy.context.preferences.addons[PACKAGE].preferences
    memory, before = addon("blender.pictures.runs").runs.memory, preferences.memory
    try:
        preferences.memory = 1
        assert memory.limit == 1 << 20
        scene.frame_end = 400
        with pytest.raises(RuntimeError, match="Picture Memory"):
            bpy.ops.effigy.cache()
    finally:
        preferences.memory = before


def test_deleting_the_proxy_takes_its_picture_out_of_renders(scene, face, settle):
    settle()
    plate = face.effigy.plate
    bpy.ops.object.select_all(action="DESELECT")
    face.select_set(True)
    bpy.ops.object.delete()
    bpy.context.view_layer.update()
    look()
    assert plate.hide_render
    assert plate.hide_viewport


def test_a_plate_is_back_when_its_proxy_is(scene, face, settle):
    settle()
    plate, name = face.effigy.plate.name, face.name
    bpy.ops.object.select_all(action="DESELECT")
    face.select_set(True)
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.object.delete()
    bpy.ops.ed.undo_push(message="deleted")
    look()
    assert bpy.data.objects[plate].hide_render
    bpy.ops.ed.undo()
    bpy.context.view_layer.update()
    look()
    assert name in bpy.context.scene.objects
    assert not bpy.data.objects[plate].hide_render
    assert not bpy.data.objects[plate].hide_viewport


def test_a_plate_whose_proxy_is_gone_from_the_file_is_hidden(scene, face, settle):
    settle()
    plate = face.effigy.plate
    bpy.data.objects.remove(face)
    addon("blender.pictures.activity").changes.mark()
    look()
    assert plate.hide_render


def test_removing_a_duplicate_leaves_the_original_whole(scene, face, settle):
    settle()
    bpy.ops.object.select_all(action="DESELECT")
    face.select_set(True)
    bpy.context.view_layer.objects.active = face
    bpy.ops.object.duplicate()
    assert bpy.ops.effigy.remove_face() == {"FINISHED"}
    look()
    [left] = addon("blender.scene.queries").faces(scene)
    assert left == face
    assert face.effigy.plate.name in scene.objects
    assert face.effigy.camera.name in scene.objects
    assert scene.camera == face.effigy.camera


def test_the_next_face_of_the_same_name_is_shown(scene, face, settle):
    settle()
    shown, name, seed = pixels(face.effigy.image), face.name, face.effigy.seed
    bpy.context.view_layer.objects.active = face
    bpy.ops.effigy.remove_face()
    bpy.ops.effigy.add_face(seed=seed)
    again = bpy.context.active_object
    assert again.name == name
    settle()
    np.testing.assert_array_equal(pixels(again.effigy.image), shown)


def test_a_stale_bake_is_told_without_anything_else_happening(scene, face, settle):
    settle()
    assert bpy.ops.effigy.bake() == {"FINISHED"}
    preview = sleep(settle)
    face.data.shape_keys.key_blocks["jawOpen"].value = 1.0
    bpy.context.view_layer.update()
    for _ in range(5):
        preview.tick()
    assert stale_of(face)
    assert not addon("blender.pictures.redraw").is_due(), "the panel was not told"


def test_remove_face_leaves_nothing_behind(scene, face, settle):
    settle()
    objects = len(bpy.data.objects)
    bpy.context.view_layer.objects.active = face
    assert bpy.ops.effigy.remove_face() == {"FINISHED"}
    look()
    assert len(bpy.data.objects) == objects - 3
    assert not [collection for collection in bpy.data.collections if collection.name.startswith("Face")]


def test_a_renamed_face_follows_on(scene, face, settle):
    settle()
    before = pixels(face.effigy.image)
    face.name = "Somebody"
    face.data.shape_keys.key_blocks["jawOpen"].value = 1.0
    bpy.context.view_layer.update()
    settle()
    assert (pixels(face.effigy.image) != before).any()


def test_redo_brings_the_expression_and_its_picture_back(scene, face, settle):
    settle()
    name = face.name
    open_mouth_as_a_step(face, settle)
    wide = pixels(face.effigy.image)
    bpy.ops.ed.undo()
    bpy.context.view_layer.update()
    settle()
    bpy.ops.ed.redo()
    proxy = bpy.context.scene.objects[name]
    bpy.context.view_layer.update()
    settle()
    assert proxy.data.shape_keys.key_blocks["jawOpen"].value == 1.0
    np.testing.assert_array_equal(pixels(proxy.effigy.image), wide)


@pytest.mark.parametrize("link", [False, True])
def test_a_face_of_another_file_comes_along_whole(scene, face, settle, tmp_path, link):
    face.data.shape_keys.key_blocks["jawOpen"].value = 0.7
    bpy.context.view_layer.update()
    settle()
    shown, collection = pixels(face.effigy.image), face.users_collection[0].name
    other = str(tmp_path / "library.blend")
    bpy.ops.wm.save_as_mainfile(filepath=other)
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    with bpy.data.libraries.load(other, link=link) as (_, here):
        here.collections = [collection]
    bpy.context.scene.collection.children.link(here.collections[0])
    bpy.context.view_layer.update()
    [proxy] = addon("blender.scene.queries").faces(bpy.context.scene)
    for _ in range(5):
        assert look() < 1.0, "an exception"
    np.testing.assert_array_equal(pixels(proxy.effigy.image), shown)


def test_scripts_can_be_reloaded(scene, face, settle):
    settle()
    registration = addon("blender.registration")
    handlers = [len(getattr(bpy.app.handlers, name)) for name in ("depsgraph_update_post", "load_post", "save_pre")]
    registration.unregister()
    registration.register()
    again = [len(getattr(bpy.app.handlers, name)) for name in ("depsgraph_update_post", "load_post", "save_pre")]
    assert again == handlers
    bpy.ops.effigy.connect()
    addon("blender.pictures.session").session.ensure_ready()
    settle()


def test_the_menu_has_every_button(scene, face):
    menu = {name for group in addon("blender.ui.menu")._MENU for name in group}
    registered = {name for name in dir(bpy.ops.effigy) if not name.startswith("_")}
    assert menu <= registered
    assert registered - menu <= PANEL_ONLY | ELSEWHERE


def test_exact_pixels_leaves_nothing_that_changes_them(scene, face):
    view, preflight = scene.view_settings, addon("blender.ui.preflight")
    view.use_curve_mapping, view.exposure, view.gamma = True, 0.5, 1.2
    if bpy.app.version >= (4, 3, 0):
        view.use_white_balance = True
    scene.render.use_border, scene.render.use_motion_blur, scene.render.dither_intensity = True, True, 1.0
    face.effigy.camera.data.dof.use_dof = True
    texts = [finding.text for finding in preflight.findings(scene)]
    for word in ("by exposure 0.5, gamma 1.2, curves", "region", "Dithering", "Motion blur", "Depth of field"):
        assert [text for text in texts if word in text], (word, texts)
    bpy.context.view_layer.objects.active = face
    bpy.ops.effigy.exact_view()
    assert preflight.findings(scene) == []
    assert scene.display_settings.display_device == "sRGB"
    scene.render.use_border = True
    texts = [finding.text for finding in addon("blender.ui.preflight").findings(scene)]
    assert any("region" in text for text in texts)


def test_the_check_tells_what_would_spoil_the_output(scene, face, tmp_path, monkeypatch):
    def texts():
        return [f"{finding.level}: {finding.text}" for finding in addon("blender.ui.preflight").findings(scene)]

    bpy.ops.effigy.exact_view()
    assert texts() == []
    spoilt = tmp_path / "taken"
    spoilt.write_text("a file where a folder should be")
    output, scene.render.filepath = scene.render.filepath, str(spoilt / "render_")
    assert any(text.startswith("error") and "cannot be written to" in text for text in texts())
    scene.render.filepath = str(spoilt / "deeper" / "render_")
    assert any(text.startswith("error") and "cannot be written to" in text for text in texts())
    # A folder that is there and may not be written to; this test may run as root, who may.
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) == str(tmp_path) and allowed(path, mode))
    scene.render.filepath = f"{tmp_path}/"
    assert texts() == []
    scene.render.filepath = "/"
    assert any(text.startswith("error") and "cannot be written to" in text for text in texts())
    scene.render.filepath, scene.render.image_settings.file_format = output, "JPEG"
    assert any("JPEG changes pixels" in text for text in texts())
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_management = "OVERRIDE"
    scene.render.image_settings.view_settings.view_transform = "Raw"
    assert any("graded by the view transform Raw:" in text for text in texts())
    scene.render.image_settings.color_management = "FOLLOW_SCENE"
    scene.render.use_multiview = True
    assert any("Stereo" in text for text in texts())
    scene.render.use_multiview = False
    face.hide_render = False
    assert any("the proxy mesh renders over its picture" in text for text in texts())
    face.hide_render = True
    alone = bpy.data.collections.new("Alone")
    scene.collection.children.link(alone)
    for part, left in ((face, False), (face.effigy.plate, True)):  # the plate is what renders
        home = part.users_collection[0]
        alone.objects.link(part)
        home.objects.unlink(part)
        bpy.context.view_layer.layer_collection.children["Alone"].exclude = True
        bpy.context.view_layer.update()
        assert any("in no view layer" in text for text in texts()) == left
        assert not any(text.startswith("error") for text in texts())
        bpy.context.view_layer.layer_collection.children["Alone"].exclude = False


def test_a_studios_colours_without_a_standard_view_are_told(scene, face, capsys, monkeypatch):
    # What Blender raises for a name that its colour configuration does not have.
    exact = addon("blender.ui.exact")
    lacking = [replace(s, wanted="Un-tone-mapped") if s.path.endswith("transform") else s for s in exact.SETTINGS]
    monkeypatch.setattr(exact, "SETTINGS", lacking)
    scene.view_settings.exposure = 1.0
    assert bpy.ops.effigy.exact_view() == {"FINISHED"}
    assert "no Standard view" in capsys.readouterr().out
    assert scene.view_settings.exposure == 0


def test_the_farms_line_in_the_manual_bakes_every_face(scene, face, settle):
    bpy.context.scene.cursor.location = (4, 0, 0)
    bpy.ops.effigy.add_face(seed=5)
    manual = Path(__file__).parents[3] / "docs" / "artists.md"
    [line] = [line for line in manual.read_text(encoding="utf-8").splitlines() if "--python-expr" in line]
    exec(line.split('"')[1], {})
    found = addon("blender.scene.queries").faces(bpy.context.scene)
    assert [proxy.effigy.source for proxy in found] == ["BAKED", "BAKED"]
    folder = Path(bpy.data.filepath).parent / "effigy"
    assert len(list(folder.rglob("*.png"))) == 8


def test_the_checks_popup_takes_names_as_they_are(scene, face):
    preflight, shown = addon("blender.ui.preflight"), []
    menu = SimpleNamespace(layout=SimpleNamespace(label=lambda text, icon: shown.append(text)))
    preflight._draw_findings([preflight.Finding("error", "{a} stands in front of {}")], menu, bpy.context)
    assert shown == ["{a} stands in front of {}"]
