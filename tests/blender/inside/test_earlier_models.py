# SPDX-License-Identifier: GPL-3.0-or-later
"""Faces of an earlier default: painted as they were, and turned into ones of the backend's model on request."""

from __future__ import annotations

from dataclasses import replace

import bpy
import numpy as np
import pytest
from conftest import addon, follower_of
from helpers import key, pixels, render, rgba, swing
from test_animation import imports_track

from effigy_protocol.messages import Array, FromSeed

FIRST = "ee032547eba39e5f"
NAME = "Effigy's first default"


@pytest.fixture(scope="module")
def old_file(backend, serve, planes, tmp_path_factory):
    """A file made with the first default, and what it rendered; from then on another model is served."""
    path = tmp_path_factory.mktemp("old") / "old.blend"
    assert backend.welcome.model == FIRST
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples = "CYCLES", 1
    scene.frame_start, scene.frame_end = 1, 2
    scene.render.filepath = str(path.with_name("render_"))
    scene.render.image_settings.file_format = "PNG"
    assert bpy.ops.effigy.add_face(seed=4) == {"FINISHED"}
    face = bpy.context.active_object
    assert bpy.ops.effigy.exact_view() == {"FINISHED"}
    swing(face, scene, 15)
    key(face, "browUp", (1, 0.0), (2, 0.8))
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    rendered = render(scene)
    serve(str(planes))
    return path, rendered


@pytest.fixture()
def old(old_file):
    """Its face, in the file opened anew."""
    addon("blender.pictures.runs").runs.memory.clear()
    bpy.ops.wm.open_mainfile(filepath=str(old_file[0]))
    return bpy.context.scene.objects["Face 4"]


@pytest.fixture()
def keyed(scene, face):
    """A face whose turn and brows are keyed."""
    scene.frame_end = 2
    swing(face, scene, 15)
    key(face, "browUp", (1, 0.0), (2, 0.8))
    return face


def sided(welcome):
    """The same model with 70 landmarks and names as the new default's: brows apart, and a gaze."""
    controls = []
    for control in welcome.controls:
        names = ("browUpLeft", "browUpRight") if control.name == "browUp" else (control.name,)
        controls += [replace(control, name=name) for name in names]
    controls.append(replace(welcome.controls[0], name="gazeUp", low=-1.0, high=1.0))

    def irises(array, count):
        values = np.frombuffer(array.data, "<f4").reshape(array.shape)
        grown = np.concatenate([values, values[..., 36:38]], axis=-1)
        if count is not None:
            index = [i for i, c in enumerate(welcome.controls) for _ in range(1 + (c.name == "browUp"))]
            grown = np.concatenate([grown[index], grown[:1]])
        return Array("f4", grown.shape, np.ascontiguousarray(grown, "<f4").tobytes())

    triangles = np.concatenate(
        [np.frombuffer(welcome.triangles.data, "<i4").reshape(welcome.triangles.shape), [[36, 37, 68], [42, 43, 69]]]
    )
    mirror = np.concatenate([np.frombuffer(welcome.mirror.data, "<i4"), [69, 68]])
    return replace(
        welcome,
        mean=irises(welcome.mean, None),
        directions=irises(welcome.directions, len(controls)),
        triangles=Array("i4", triangles.shape, triangles.astype("<i4").tobytes()),
        mirror=Array("i4", mirror.shape, mirror.astype("<i4").tobytes()),
        controls=tuple(controls),
    ), lambda rest: irises(rest, None)


def become_sided(proxy):
    """Changes the face to a model with such names, as a backend that serves it would."""
    session, module = addon("blender.pictures.session").session, addon("blender.scene.identity")
    link = session.ensure_ready().link
    welcome, grown = sided(session.welcome)
    from effigy_protocol.messages import OpenIdentity

    identity = link.call(OpenIdentity(FromSeed(4)), 300)
    module.change_identity(proxy, welcome, replace(identity, rest=grown(identity.rest)), 4)
    bpy.context.view_layer.update()


def curves(proxy):
    """Values at frame 2 by data path, of the keys' own action."""
    fcurves = addon("blender.scene.fcurves")
    return {c.data_path: c.evaluate(2) for bag in fcurves.bags_of(proxy.data.shape_keys) for c in bag}


def path(name):
    return f'key_blocks["{name}"].value'


@pytest.mark.newest
def test_a_file_of_before_renders_unchanged_whatever_is_served(old_file, old, backend, settle):
    assert backend.welcome.model != FIRST
    assert old.effigy.model == FIRST
    for got, wanted in zip(render(bpy.context.scene), old_file[1], strict=True):
        np.testing.assert_array_equal(got, wanted)
    settle()
    assert follower_of(old).is_exact
    assert not follower_of(old).problem


@pytest.mark.newest
def test_it_says_what_it_was_made_with_and_offers_the_new_one(old, backend, settle):
    settle()
    panel, runs = addon("blender.ui.face_panel"), addon("blender.pictures.runs")
    assert runs.earlier_model(old) == NAME
    assert NAME in panel.status(old).text
    assert bpy.ops.effigy.use_new_default.poll()
    assert not any("belongs to the model" in f.text for f in addon("blender.ui.preflight").findings(bpy.context.scene))
    assert bpy.ops.effigy.add_face(seed=5) == {"FINISHED"}
    assert not bpy.ops.effigy.use_new_default.poll(), "a new face is of the backend's model already"


@pytest.mark.newest
def test_old_and_new_faces_stand_side_by_side(old, backend, settle):
    settle()
    before = rgba(old.effigy.image)
    assert bpy.ops.effigy.add_face(seed=4) == {"FINISHED"}
    new = bpy.context.active_object
    new.effigy.matte = "HEAD"
    bpy.context.view_layer.update()
    settle()
    np.testing.assert_array_equal(rgba(old.effigy.image), before)
    assert (before[..., 3] == 255).all()
    assert (rgba(new.effigy.image)[..., 3] < 255).any()


@pytest.mark.newest
def test_the_new_default_keeps_pose_keys_and_material_and_undo_brings_the_old_one_back(old, backend, settle):
    bpy.context.view_layer.objects.active = old
    settle()
    before, keyed, turn = rgba(old.effigy.image), curves(old), old.matrix_world.copy()
    bpy.ops.ed.undo_push(message="before")
    assert bpy.ops.effigy.use_new_default() == {"FINISHED"}
    bpy.ops.ed.undo_push(message="new")
    bpy.context.view_layer.update()
    settle()
    face = old.effigy
    assert (face.model, face.seed, face.truncation) == (backend.welcome.model, 4, pytest.approx(0.7))
    assert follower_of(old).is_exact
    assert curves(old) == keyed
    assert old.matrix_world == turn
    np.testing.assert_array_equal(rgba(face.image)[..., 3], 255)  # whole, as it was
    face.matte = "HEAD"
    bpy.context.view_layer.update()
    settle()
    assert (face.image.name, face.image.depth) == ("Face 4 Picture", 32)
    now = rgba(face.image)
    assert (now[..., 3] < 255).any()
    (material,) = face.plate.data.materials
    assert material.node_tree.nodes["Picture"].image == face.image
    assert [link.from_node.bl_idname for link in material.node_tree.nodes["Material Output"].inputs[0].links] == [
        "ShaderNodeMixShader"
    ]
    bpy.ops.ed.undo()
    bpy.context.view_layer.update()
    old = bpy.context.scene.objects["Face 4"]
    settle()
    assert old.effigy.model == FIRST
    np.testing.assert_array_equal(rgba(old.effigy.image), before)


def test_controls_are_renamed_with_keys_strips_drivers_and_what_reads_them(keyed):
    keys = keyed.data.shape_keys
    own = keyed.shape_key_add(name="wrinkle", from_mix=False)
    own.data[30].co.z += 0.5
    shape = np.array(own.data[30].co) - np.array(keys.key_blocks[0].data[30].co)
    animation = keys.animation_data
    kept = animation.action.copy()
    kept.use_fake_user = True
    track = animation.nla_tracks.new()
    strip = track.strips.new("raised", 10, animation.action.copy())
    if bpy.app.version >= (4, 4, 0):
        strip.action_slot = strip.action.slots[animation.action_slot.identifier]
    reader = bpy.data.objects.new("Reader", None)
    driver = reader.driver_add("location", 2).driver
    driver.type = "SUM"
    variable = driver.variables.new()
    variable.targets[0].id_type, variable.targets[0].id = "KEY", keys
    variable.targets[0].data_path = path("browUp")
    lids = keys.key_blocks["eyeBlinkLeft"].driver_add("value")
    lids.driver.expression = "0.25"
    become_sided(keyed)
    assert len(keyed.data.vertices) == 70
    assert [len(block.data) for block in keys.key_blocks] == [70] * len(keys.key_blocks)
    names = [block.name for block in keys.key_blocks]
    assert "browUp" not in names
    assert {"browUpLeft", "browUpRight", "gazeUp", "wrinkle"} <= set(names)
    assert keyed.effigy.is_control("browUpRight")
    assert not keyed.effigy.is_control("wrinkle")
    for action_curves in (
        curves(keyed),
        {c.data_path: c.evaluate(2) for bag in addon("blender.scene.fcurves").bags_in(kept) for c in bag},
    ):
        assert action_curves[path("browUpLeft")] == action_curves[path("browUpRight")] == pytest.approx(0.8)
        assert path("browUp") not in action_curves
    bags = addon("blender.scene.fcurves").bags_of(keys)
    assert len(bags) == 2, "the action, and the strip's"
    assert all(bag.find(path("browUpRight")) is not None for bag in bags)
    assert variable.targets[0].data_path == path("browUpLeft")
    assert [d.data_path for d in animation.drivers] == [path("eyeBlinkLeft")]
    moved = np.array(keys.key_blocks["wrinkle"].data[30].co) - np.array(keys.key_blocks[0].data[30].co)
    np.testing.assert_allclose(moved, shape, atol=1e-5)
    bpy.context.scene.frame_set(2)
    assert keys.key_blocks["browUpRight"].value == pytest.approx(0.8)


def test_a_driven_control_drives_both_its_heirs(keyed):
    keys = keyed.data.shape_keys
    keys.animation_data.action = None
    driver = keys.key_blocks["browUp"].driver_add("value").driver
    driver.expression = "0.4"
    become_sided(keyed)
    assert sorted(d.data_path for d in keys.animation_data.drivers) == [path("browUpLeft"), path("browUpRight")]
    assert [d.driver.expression for d in keys.animation_data.drivers] == ["0.4", "0.4"]


def test_another_face_that_shares_keys_or_actions_stays_what_it_is(keyed):
    twin = keyed.copy()
    twin.data = keyed.data.copy()  # with its own keys, that play the same action
    bpy.context.scene.collection.objects.link(twin)
    linked = keyed.copy()  # with the very same mesh
    bpy.context.scene.collection.objects.link(linked)
    become_sided(keyed)
    for other in (twin, linked):
        assert "browUp" in other.data.shape_keys.key_blocks
        assert path("browUp") in curves(other)
        assert len(other.data.vertices) == 68
    assert path("browUpLeft") in curves(keyed)


def test_an_expression_that_was_stored_before_is_applied_to_the_heirs(keyed, monkeypatch):
    bpy.context.view_layer.objects.active = keyed
    monkeypatch.setattr(addon("blender.ui.library"), "load", lambda name: {"browUp": 0.5, "jawOpen": 0.3})
    monkeypatch.setattr(addon("blender.ui.library"), "names", lambda: ["before"])
    keyed.data.shape_keys.animation_data_clear()
    become_sided(keyed)
    assert bpy.ops.effigy.apply_expression(name="before") == {"FINISHED"}
    values = {block.name: block.value for block in keyed.data.shape_keys.key_blocks}
    assert values["browUpLeft"] == values["browUpRight"] == pytest.approx(0.5)
    assert values["jawOpen"] == pytest.approx(0.3)


@pytest.mark.newest
def test_people_of_an_earlier_model_can_be_mixed_and_not_given_to_a_face_of_another(old, settle, backend):
    scene = bpy.context.scene
    twin = old.copy()
    twin.data = old.data.copy()
    scene.collection.objects.link(twin)
    bpy.context.view_layer.objects.active = old
    settle()
    before = pixels(old.effigy.image)
    assert bpy.ops.effigy.mix_identities(other=twin.name, share=0.5) == {"FINISHED"}
    assert (old.effigy.model, old.effigy.seed) == (FIRST, -1)
    settle()
    np.testing.assert_array_equal(pixels(old.effigy.image), before, "half of the same person is the same person")
    identity = str(bpy.path.abspath("//before.effigy-identity"))
    assert bpy.ops.effigy.save_identity(filepath=identity) == {"FINISHED"}
    assert bpy.ops.effigy.add_face(seed=5) == {"FINISHED"}
    with pytest.raises(RuntimeError, match="of another model than Face 5"):
        bpy.ops.effigy.load_identity(filepath=identity)


def test_the_models_that_come_with_effigy_are_chosen_by_name(preferences):
    for name, model in (("default", ""), ("first-default", "first-default")):
        assert bpy.ops.effigy.choose_model(model=name) == {"FINISHED"}
        assert preferences.model == model


def test_the_shipped_default_paints(scene, serve, backend, settle):
    serve("")
    assert bpy.ops.effigy.add_face(seed=4) == {"FINISHED"}
    face = bpy.context.active_object
    face.effigy.matte = "HEAD"
    settle()
    assert follower_of(face).is_exact
    assert face.effigy.model == backend.welcome.model
    picture = rgba(face.effigy.image)
    assert picture[..., :3].std() > 10
    assert backend.welcome.alpha, "the default paints its own matte"
    assert {0, 255} <= set(np.unique(picture[..., 3]))


def test_a_landmark_track_poses_a_face_that_has_irises_too(scene, serve, tmp_path):
    """No track of 68 points shows the irises."""
    serve("")
    assert bpy.ops.effigy.add_face(seed=4) == {"FINISHED"}
    face = bpy.context.active_object
    imports_track(face, scene, tmp_path / "track.csv")
    curves = addon("blender.scene.fcurves").curves_of(face.data.shape_keys)
    assert curves.find('key_blocks["mouthSmile"].value') is not None
    assert curves.find('key_blocks["gazeSide"].value') is None
