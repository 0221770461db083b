# SPDX-License-Identifier: GPL-3.0-or-later
"""What artists do to scenes besides posing: delete, rename, append, link, undo and redo."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest
from conftest import addon
from helpers import look, open_mouth_as_a_step, pixels

# Everything that the panel offers, so that F3 and the keyboard find it.
PANEL_ONLY = {"apply_expression", "remove_expression", "grab", "remove_photo", "stop_portrait"}
ELSEWHERE = {"bake_all", "choose_model", "export_keys", "hide"}  # for scripts, in the preferences, in File ▸ Export


ELSEWHERE |= {"bake_layers", "export_arkit"}  # in File ▸ Export


ELSEWHERE |= {"read_film", "read_picture", "make_person"}  # by what asks for files


ELSEWHERE |= {"install_backend", "cancel_install", "remove_backend", "carry_over"}  # the preferences


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
