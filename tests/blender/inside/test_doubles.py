# SPDX-License-Identifier: GPL-3.0-or-later
"""Faces that were duplicated, or that share a name: each has its own picture, its own bake and its own identity."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from conftest import addon
from helpers import give_ups, key, pixels, render


def _open_mouth(proxy):
    proxy.data.shape_keys.key_blocks["jawOpen"].value = 1.0
    bpy.context.view_layer.update()


def _double(face, how):
    """The double of a face and of all that belongs to it; returns its proxy."""
    before = set(bpy.data.objects)
    if how == "objects":  # as Duplicate Collection does
        parts = [face, face.effigy.plate, face.effigy.camera]
        face.effigy.plate.hide_select = False
        bpy.ops.object.select_all(action="DESELECT")
        for part in parts:
            part.select_set(True)
        bpy.ops.object.duplicate()
    else:
        bpy.ops.scene.new(type="FULL_COPY")
    bpy.context.view_layer.update()
    [double] = [obj for obj in set(bpy.data.objects) - before if obj.effigy.is_face]
    assert double.effigy.plate != face.effigy.plate, "this Blender did not point the double at its own plate"
    return double


@pytest.mark.parametrize("how", ["objects", "scene"])
def test_a_double_with_its_plate_has_its_own_picture(scene, face, settle, how):
    settle()
    shown = pixels(face.effigy.image)
    double = _double(face, how)
    _open_mouth(double)
    settle()
    assert double.effigy.image != face.effigy.image
    np.testing.assert_array_equal(pixels(face.effigy.image), shown)
    assert (pixels(double.effigy.image) != shown).any()
    nodes = addon("blender.display").picture_nodes
    assert {node.image for node in nodes(face)} == {face.effigy.image}
    assert {node.image for node in nodes(double)} == {double.effigy.image}
    owners = [obj.effigy.owner for obj in bpy.data.objects if obj.effigy.is_plate]
    assert sorted(owner.name for owner in owners) == sorted([face.name, double.name]), "a plate is left over"


def test_a_double_of_a_baked_face_is_live_and_the_bake_stays(scene, face, settle):
    key(face, "jawOpen", (1, 0.0), (4, 1.0))
    assert bpy.ops.effigy.bake() == {"FINISHED"}
    curves_of = addon("blender.fcurves").curves_of
    keys = len(curves_of(face.effigy.plate))
    baked = render(scene)
    double = _double(face, "objects")
    settle()
    assert (face.effigy.source, double.effigy.source) == ("BAKED", "LIVE")
    addon("blender.rig").remove_face(double)
    bpy.context.view_layer.update()
    for shown, wanted in zip(render(scene), baked, strict=True):
        np.testing.assert_array_equal(shown, wanted)
    assert len(curves_of(face.effigy.plate)) == keys > 0


def test_a_render_of_doubles_that_nobody_looked_at_says_so(scene, face, settle, monkeypatch):
    # In the background no timer gives the double a picture of its own: both would show the last that was painted.
    settle()
    double = _double(face, "objects")
    said = give_ups(monkeypatch)
    scene.frame_end = 1
    render(scene)
    assert len(said) == 1
    assert double.name in said[0]
    assert "plate of its own" in said[0]


def test_faces_of_one_name_in_two_files_are_two(scene, face, settle, tmp_path):
    settle()
    shown, collection, name = pixels(face.effigy.image), face.users_collection[0].name, face.name
    library = str(tmp_path / "library.blend")
    bpy.ops.wm.save_as_mainfile(filepath=library)
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.ops.effigy.add_face(seed=4)
    local = bpy.context.active_object
    bpy.ops.effigy.change_identity(seed=21)
    local.name = name
    with bpy.data.libraries.load(library, link=True) as (_, here):
        here.collections = [collection]
    bpy.context.scene.collection.children.link(here.collections[0])
    bpy.context.view_layer.update()
    linked = next(o for o in addon("blender.properties").faces(bpy.context.scene) if o.library is not None)
    assert local.name == linked.name
    settle()
    session = addon("blender.session")
    assert session.run_of(local).identity != session.run_of(linked).identity
    np.testing.assert_array_equal(pixels(linked.effigy.image), shown)
    assert (pixels(local.effigy.image) != shown).any()
    names = addon("blender.census").known_faces(bpy.context.scene)
    assert set(names) == {local, linked}


def test_two_overrides_of_a_linked_face_are_two_faces_and_stay_so(scene, face, settle, tmp_path):
    settle()
    shown, collection = pixels(face.effigy.image), face.users_collection[0].name
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (_, here):
        here.collections = [collection]
    scene = bpy.context.scene
    for _ in range(2):
        here.collections[0].override_hierarchy_create(scene, bpy.context.view_layer)
    bpy.context.view_layer.update()
    first, second = addon("blender.properties").faces(scene)
    scene.camera = first.effigy.camera
    second.effigy.truncation = 0.3
    objects = len(bpy.data.objects)
    settle()
    _open_mouth(first)
    settle()
    assert len(bpy.data.objects) == objects, "objects are made again and again"
    assert {image.library for image in (first.effigy.image, second.effigy.image)} == {None}
    np.testing.assert_array_equal(pixels(second.effigy.image), shown)
    opened = pixels(first.effigy.image)
    assert (opened != shown).any()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    again = addon("blender.properties").faces(bpy.context.scene)
    plates = {proxy.effigy.plate.name: proxy.effigy.plate.effigy.owner for proxy in again}
    assert sorted(owner.name for owner in plates.values()) == sorted(proxy.name for proxy in again)
    assert [round(proxy.effigy.truncation, 2) for proxy in again] == [0.7, 0.3]
    for proxy, picture in zip(again, (opened, shown), strict=True):
        np.testing.assert_array_equal(pixels(proxy.effigy.image), picture)
    settle()
    for proxy, picture in zip(again, (opened, shown), strict=True):
        np.testing.assert_array_equal(pixels(proxy.effigy.image), picture)
    assert len(bpy.data.objects) == objects
