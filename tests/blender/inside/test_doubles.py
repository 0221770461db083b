# SPDX-License-Identifier: GPL-3.0-or-later
"""Duplicated faces, and faces with the same name, each have their own picture, bake and identity."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from conftest import addon, follower_of
from helpers import give_ups, key, pixels, render


def _open_mouth(proxy):
    proxy.data.shape_keys.key_blocks["jawOpen"].value = 1.0
    bpy.context.view_layer.update()


def _double(face, how):
    """Duplicates a face and everything that belongs to it; returns the new proxy."""
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
    nodes = addon("blender.scene.display").picture_nodes
    assert {node.image for node in nodes(face)} == {face.effigy.image}
    assert {node.image for node in nodes(double)} == {double.effigy.image}
    owners = [obj.effigy.owner for obj in bpy.data.objects if obj.effigy.is_plate]
    assert sorted(owner.name for owner in owners) == sorted([face.name, double.name]), "a plate is left over"


def test_a_double_of_a_baked_face_is_live_and_the_bake_stays(scene, face, settle):
    key(face, "jawOpen", (1, 0.0), (4, 1.0))
    assert bpy.ops.effigy.bake() == {"FINISHED"}
    curves_of = addon("blender.scene.fcurves").curves_of
    keys = len(curves_of(face.effigy.plate))
    baked = render(scene)
    double = _double(face, "objects")
    settle()
    assert (face.effigy.source, double.effigy.source) == ("BAKED", "LIVE")
    addon("blender.scene.rig").remove_face(double)
    bpy.context.view_layer.update()
    for shown, wanted in zip(render(scene), baked, strict=True):
        np.testing.assert_array_equal(shown, wanted)
    assert len(curves_of(face.effigy.plate)) == keys > 0


def test_a_double_keeps_what_the_artist_made_of_its_plate(scene, face, settle):
    plate = face.effigy.plate
    plate.data.materials[0].node_tree.nodes.new("ShaderNodeMixRGB").name = "Mine"
    plate.keyframe_insert("pass_index", frame=2)
    assert bpy.ops.effigy.bake() == {"FINISHED"}
    double = _double(face, "objects")
    settle()
    curves_of = addon("blender.scene.fcurves").curves_of
    assert {curve.data_path for curve in curves_of(double.effigy.plate)} >= {"pass_index"}
    assert not [c for c in curves_of(double.effigy.plate) if c.data_path == "location" and len(c.keyframe_points)]
    assert [c for c in curves_of(plate) if c.data_path == "location" and len(c.keyframe_points) == 4]
    material = double.effigy.plate.data.materials[0]
    assert material != plate.data.materials[0]
    assert "Mine" in material.node_tree.nodes
    assert material.node_tree.nodes["Picture"].image == double.effigy.image


def test_a_face_of_an_earlier_version_gets_what_it_lacks(scene, face, settle):
    settle()
    controls = addon("blender.scene.controls")
    face.effigy.image.effigy_mesh = None
    face.data.attributes.remove(face.data.attributes[controls.TWINS])
    face.effigy.control_names = face.effigy.control_twins = ""
    double = _double(face, "objects")
    settle()
    assert face.effigy.image.effigy_mesh == face.effigy.plate.data
    assert double.effigy.image != face.effigy.image
    assert controls.twin_of(face, 37) == 44
    assert controls.twin_of(double, 37) == 44
    assert face.effigy.control_twins == double.effigy.control_twins != ""
    assert len(controls.blocks_of(face)) == 6


@pytest.mark.parametrize("kind", ["images", "materials"])
def test_a_picture_that_is_appended_brings_nobody(scene, face, settle, tmp_path, kind):
    settle()
    name = face.effigy.image.name if kind == "images" else face.effigy.plate.data.materials[0].name
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    with bpy.data.libraries.load(str(tmp_path / "library.blend")) as (_, here):
        setattr(here, kind, [name])
    assert len(getattr(bpy.data, kind)) >= 1
    assert len(bpy.data.objects) == 0


def test_a_render_of_doubles_that_nobody_looked_at_says_so(scene, face, settle, monkeypatch):
    # In the background no timer gives the duplicate its own picture: both would show the one painted last.
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
    linked = next(o for o in addon("blender.scene.queries").faces(bpy.context.scene) if o.library is not None)
    assert local.name == linked.name
    settle()
    assert follower_of(local).face.key != follower_of(linked).face.key
    np.testing.assert_array_equal(pixels(linked.effigy.image), shown)
    assert (pixels(local.effigy.image) != shown).any()
    names = addon("blender.scene.queries").known_faces(bpy.context.scene)
    assert set(names) == {local, linked}
    # Changing the local one changes no other; the linked one accepts no change, since it would be lost.
    latent = linked.effigy.latent
    bpy.context.view_layer.objects.active = local
    assert bpy.ops.effigy.random_identity() == {"FINISHED"}
    assert linked.effigy.latent == latent
    bpy.context.view_layer.objects.active = linked
    for name in ("random_identity", "neutral", "key_all", "reset_pose", "bake", "remove_face", "grab", "cache"):
        assert not getattr(bpy.ops.effigy, name).poll(), name
    assert addon("blender.scene.queries").known_faces(bpy.context.scene)


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
    first, second = addon("blender.scene.queries").faces(scene)
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
    again = addon("blender.scene.queries").faces(bpy.context.scene)
    plates = {proxy.effigy.plate.name: proxy.effigy.plate.effigy.owner for proxy in again}
    assert sorted(owner.name for owner in plates.values()) == sorted(proxy.name for proxy in again)
    assert [round(proxy.effigy.truncation, 2) for proxy in again] == [0.7, 0.3]
    for proxy, picture in zip(again, (opened, shown), strict=True):
        np.testing.assert_array_equal(pixels(proxy.effigy.image), picture)
    settle()
    for proxy, picture in zip(again, (opened, shown), strict=True):
        np.testing.assert_array_equal(pixels(proxy.effigy.image), picture)
    assert len(bpy.data.objects) == objects


def test_an_override_may_become_somebody_else_and_stays_so(scene, face, settle, tmp_path):
    collection = face.users_collection[0].name
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (_, here):
        here.collections = [collection]
    here.collections[0].override_hierarchy_create(bpy.context.scene, bpy.context.view_layer)
    bpy.context.view_layer.update()
    [proxy] = addon("blender.scene.queries").faces(bpy.context.scene)
    bpy.context.scene.camera = proxy.effigy.camera
    settle()
    bpy.context.view_layer.objects.active = proxy
    before = np.array([vertex.co for vertex in proxy.data.vertices])
    assert bpy.ops.effigy.change_identity(seed=21) == {"FINISHED"}
    proxy.effigy.display = "BACKGROUND"
    bpy.context.view_layer.update()
    settle()
    changed = np.array([vertex.co for vertex in proxy.data.vertices])
    assert np.abs(changed - before).max() > 0.01
    assert len(proxy.effigy.plate.modifiers) == 1
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    [proxy] = addon("blender.scene.queries").faces(bpy.context.scene)
    assert proxy.effigy.seed == 21
    np.testing.assert_allclose([vertex.co[:] for vertex in proxy.data.vertices], changed, atol=1e-5)


def test_a_camera_of_a_library_sees_the_picture_behind_the_head(scene, face, settle, tmp_path):
    own = bpy.data.objects.new("Mine", bpy.data.cameras.new("Mine"))
    scene.collection.objects.link(own)
    own.matrix_world = scene.camera.matrix_world
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"), copy=True)
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (_, here):
        here.objects = ["Mine"]
    linked = next(obj for obj in bpy.data.objects if obj.library is not None)
    scene.collection.objects.link(linked)
    face.effigy.display = "BACKGROUND"
    settle()
    scene.camera = linked
    bpy.context.view_layer.update()
    settle()
    [modifier] = face.effigy.plate.modifiers
    assert modifier.node_group.nodes["Eye"].inputs["Object"].default_value == linked
