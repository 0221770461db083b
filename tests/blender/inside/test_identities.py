# SPDX-License-Identifier: GPL-3.0-or-later
"""A face's identity can be changed, mixed, locked, saved and loaded; pose and expression stay."""

from __future__ import annotations

import json
import time
from concurrent import futures
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from conftest import addon, ensure_open, follower_of
from helpers import pixels

from effigy_client.face import Anchor, _Opening


def test_another_number_is_another_person_in_the_same_pose(scene, face, settle):
    block = face.data.shape_keys.key_blocks["jawOpen"]
    block.value = 0.5
    settle()
    before, latent, shape = pixels(face.effigy.image), face.effigy.latent, np.array(face.data.vertices[8].co)
    assert bpy.ops.effigy.change_identity(seed=11, truncation=0.7) == {"FINISHED"}
    bpy.context.view_layer.update()
    settle()
    assert face.effigy.latent != latent
    assert face.effigy.seed == 11
    assert block.value == 0.5
    assert (pixels(face.effigy.image) != before).any()
    assert np.abs(np.array(face.data.vertices[8].co) - shape).max() > 1e-3, "the proxy kept the old person's shape"
    bpy.ops.effigy.change_identity(seed=4, truncation=0.7)
    bpy.context.view_layer.update()
    settle()
    np.testing.assert_array_equal(pixels(face.effigy.image), before)


def test_controls_move_the_new_persons_mesh_by_the_same_directions(scene, face):
    def opening():
        keys = face.data.shape_keys.key_blocks
        return np.array(keys["jawOpen"].data[8].co) - np.array(keys[0].data[8].co)

    before = opening()
    bpy.ops.effigy.change_identity(seed=11)
    np.testing.assert_allclose(opening(), before, atol=1e-6)


def test_somebody_new_is_another_person_at_rest_and_keeps_the_number(scene, face):
    taken = {face.effigy.seed}
    for _ in range(3):
        assert bpy.ops.effigy.add_face() == {"FINISHED"}
        added = bpy.context.active_object
        assert added.effigy.seed not in taken
        taken.add(added.effigy.seed)
        latent = added.effigy.latent
        assert bpy.ops.effigy.change_identity(seed=added.effigy.seed) == {"FINISHED"}
        assert added.effigy.latent == latent
    assert bpy.ops.effigy.random_identity() == {"FINISHED"}
    assert added.effigy.seed not in taken


def test_an_artists_own_shape_key_changes_the_mesh_alone(scene, face, settle):
    settle()
    shown = pixels(face.effigy.image)
    own = face.shape_key_add(name="Bump", from_mix=False)
    own.data[30].co.y -= 0.2
    bump = np.array(own.data[30].co) - np.array(face.data.shape_keys.key_blocks[0].data[30].co)
    own.value = 1.0
    bpy.context.view_layer.update()
    settle()
    assert not follower_of(face).problem
    np.testing.assert_array_equal(pixels(face.effigy.image), shown)
    assert any("Bump changes the mesh only" in f.text for f in addon("blender.ui.preflight").findings(scene))
    bpy.ops.effigy.change_identity(seed=11)
    own = face.data.shape_keys.key_blocks["Bump"]
    assert not own.mute
    moved = np.array(own.data[30].co) - np.array(face.data.shape_keys.key_blocks[0].data[30].co)
    np.testing.assert_allclose(moved, bump, atol=1e-5)
    bpy.ops.effigy.neutral()
    assert own.value == 1.0
    assert "Bump" not in addon("blender.scene.controls").values_of(face)


def test_names_tell_the_number_but_for_those_of_an_artists_own(scene, face, settle):
    face.effigy.camera.name = "Hero Cam"
    assert bpy.ops.effigy.random_identity(seed=99) == {"FINISHED"}
    settle()
    home = face.users_collection[0]
    assert [face.name, face.effigy.plate.name, face.effigy.image.name] == [
        "Face 99",
        "Face 99 Plate",
        "Face 99 Picture",
    ]
    assert [home.name, face.data.shape_keys.name, face.effigy.camera.name] == [
        "Face 99",
        "Face 99 Controls",
        "Hero Cam",
    ]
    assert follower_of(face).is_exact
    face.name = "Anna"
    bpy.ops.effigy.change_identity(seed=98)
    assert [face.name, face.effigy.plate.name] == ["Anna", "Face 98 Plate"]


def test_a_locked_identity_is_not_changed(scene, face):
    face.effigy.locked = True
    assert not bpy.ops.effigy.random_identity.poll()
    with pytest.raises(RuntimeError, match="locked"):
        bpy.ops.effigy.random_identity()
    face.effigy.locked = False
    assert bpy.ops.effigy.random_identity(seed=99) == {"FINISHED"}


def test_a_mixture_lies_between_and_its_ends_are_exact(scene, face, settle):
    own = face.effigy.anchor.latent_bytes()
    bpy.ops.effigy.add_face(seed=12)
    other = bpy.context.active_object
    bpy.context.view_layer.objects.active = face
    settle()
    assert bpy.ops.effigy.mix_identities(other=other.name, share=0.0) == {"FINISHED"}
    assert face.effigy.anchor.latent_bytes() == own
    bpy.ops.effigy.mix_identities(other=other.name, share=0.5)
    assert face.effigy.seed == -1
    a, b, c = (
        np.frombuffer(x, "<f4", offset=12)
        for x in (own, other.effigy.anchor.latent_bytes(), face.effigy.anchor.latent_bytes())
    )
    np.testing.assert_allclose(c, (a + b) / 2, atol=1e-6)
    bpy.ops.effigy.mix_identities(other=other.name, share=1.0)
    assert face.effigy.anchor.latent_bytes() == other.effigy.anchor.latent_bytes()


def test_an_identity_is_saved_and_loaded(scene, face, settle, tmp_path):
    path = tmp_path / "somebody.effigy-identity"
    latent = face.effigy.latent
    assert bpy.ops.effigy.save_identity(filepath=str(path)) == {"FINISHED"}
    bpy.ops.effigy.change_identity(seed=50)
    assert bpy.ops.effigy.load_identity(filepath=str(path)) == {"FINISHED"}
    assert face.effigy.latent == latent
    assert [p.name for p in tmp_path.glob(".*")] == []


def person_file(latent: bytes, generator: str) -> bytes:
    """Somebody as 'effigy photo' writes them: a safetensors file, of the first row of a latent's bytes."""
    metadata = {"format": 1, "model": "0", "name": "a model", "generator": generator, "provenance": [{"made": "here"}]}
    row = latent[12 : 12 + 4 * int.from_bytes(latent[8:12], "little")]
    entry = {"dtype": "F32", "shape": [1, len(row) // 4], "data_offsets": [0, len(row)]}
    header = json.dumps({"__metadata__": {"effigy.person": json.dumps(metadata)}, "latent": entry}).encode()
    return len(header).to_bytes(8, "little") + header + row


def test_a_person_made_of_a_picture_is_loaded_and_kept_with_where_it_comes_from(scene, face, settle, tmp_path):
    first = Path(__file__).parents[3] / "backend" / "effigy" / "faces" / "first-default.effigy"
    generator = json.loads((first / "model.json").read_text())["generator"]["sha256"]
    bpy.ops.effigy.change_identity(seed=50)
    own, path = face.effigy.anchor.latent_bytes(), tmp_path / "somebody.person"
    path.write_bytes(person_file(own, generator))
    assert bpy.ops.effigy.load_identity(filepath=str(path)) == {"FINISHED"}
    assert own[12:] in face.effigy.anchor.latent_bytes()
    assert b"provenance" in face.effigy.anchor.latent_bytes()
    path.write_bytes(person_file(own, "f" * 64))
    with pytest.raises(RuntimeError, match="another generator"):
        bpy.ops.effigy.load_identity(filepath=str(path))
    path.write_bytes(bytes(2 << 20))
    with pytest.raises(RuntimeError, match="without its picture"):
        bpy.ops.effigy.load_identity(filepath=str(path))


@pytest.mark.parametrize("change", ["garbage", "model", "latent"])
def test_a_file_that_is_no_identity_of_this_model_is_refused(scene, face, tmp_path, change):
    path = tmp_path / "bad.effigy-identity"
    bpy.ops.effigy.save_identity(filepath=str(path))
    content = json.loads(path.read_text())
    content[change] = {"model": "0123", "latent": "AAAA"}.get(change)
    path.write_text("{" if change == "garbage" else json.dumps(content))
    latent = face.effigy.latent
    with pytest.raises(RuntimeError, match=r"no saved identity|belongs to model|not an Effigy latent"):
        bpy.ops.effigy.load_identity(filepath=str(path))
    assert face.effigy.latent == latent


@pytest.mark.parametrize("moved", [False, True])
def test_another_person_is_rendered_to_the_pixel_too(scene, face, moved):
    """Another person's plate has another size, and the artist may have moved and zoomed the camera."""
    from helpers import read, render

    bpy.ops.effigy.change_identity(seed=7)
    if moved:
        face.effigy.camera.location.y -= 1.0
        face.effigy.camera.data.lens = 50
    bpy.ops.effigy.face_camera()
    bpy.ops.effigy.exact_view()
    scene.frame_end = 1
    (rendered,) = render(scene)
    bpy.ops.effigy.bake()
    folder = addon("blender.pictures.bake").folder_of(face)
    np.testing.assert_array_equal(rendered, read(folder / f"{folder.name}_0001.png"))


def test_another_persons_plate_fills_as_much_of_the_frame(scene, face):
    lens, size = face.effigy.camera.data.lens, face.effigy.plate_size
    bpy.ops.effigy.change_identity(seed=7)
    assert face.effigy.plate_size != size
    assert face.effigy.camera.data.lens * face.effigy.plate_size == pytest.approx(lens * size, rel=1e-5)


def test_the_add_menu_has_the_face(scene, face):
    assert addon("blender.ui.menu")._add_menu in bpy.types.VIEW3D_MT_mesh_add._dyn_ui_initialize()


def test_an_opening_that_comes_too_late_opens_nobody(scene, face, settle):
    """The redo panel opens the next person while the opening of the one before is still in flight."""
    settle()
    preview = addon("blender.pictures.preview")
    late, before = futures.Future(), addon("blender.pictures.runs").anchor_of(face)
    late.set_result(SimpleNamespace(identity="somebody else's"))
    bpy.ops.effigy.change_identity(seed=21)
    own = ensure_open(face)
    follower_of(face).face._opening = _Opening(before, late)
    preview.tick()
    assert follower_of(face).face.key == own
    settle()


def test_two_quick_changes_open_the_last_person(scene, face, settle):
    settle()
    preview = addon("blender.pictures.preview")
    bpy.ops.effigy.change_identity(seed=21)
    late, run = futures.Future(), follower_of(face).face
    late.set_result(SimpleNamespace(identity="somebody else's"))
    # The opening of the first person is answered when the face already is the second; nothing else happens.
    first = Anchor("model", "first")
    run._anchor, run._opening, run.key = first, _Opening(first, late), ""
    addon("blender.pictures.activity").changes.take_live()
    for _ in range(200):
        assert preview.tick() < 1.0, "an exception"
        if run.key:
            break
        time.sleep(0.01)
    assert run.key
    assert run._anchor == addon("blender.pictures.runs").anchor_of(face)


def test_a_control_never_takes_an_artists_shape_key(scene, face, settle):
    module, session = addon("blender.scene.identity"), addon("blender.pictures.session").session
    own = face.shape_key_add(name="tongueOut", from_mix=False)
    own.data[30].co.y -= 0.2
    bump = np.array(own.data[30].co) - np.array(face.data.shape_keys.key_blocks[0].data[30].co)
    welcome = session.welcome
    tongue = replace(welcome.controls[0], name="tongueOut")
    another = replace(welcome, controls=(tongue, *welcome.controls[1:]))  # a model with such a control
    identity = session.ensure_ready().link.call(addon("blender.pictures.runs").anchor_of(face).request(), 300)
    module.change_identity(face, another, identity, 4)
    keys = face.data.shape_keys.key_blocks
    kept = np.array(keys["tongueOut (own)"].data[30].co) - np.array(keys[0].data[30].co)
    np.testing.assert_allclose(kept, bump, atol=1e-5)
    assert not keys["tongueOut (own)"].mute
    assert keys["jawOpen"].mute
    assert face.effigy.is_control("tongueOut")
    assert not face.effigy.is_control("tongueOut (own)")


def test_an_answer_about_somebody_else_is_not_shown(scene, face, settle):
    """A preview is on its way while the face becomes another person."""
    settle()
    preview = addon("blender.pictures.preview")
    addon("blender.pictures.runs").runs.memory.clear()
    face.data.shape_keys.key_blocks["jawOpen"].value = 0.7
    bpy.context.view_layer.update()
    preview.tick()
    bpy.ops.effigy.change_identity(seed=21)
    bpy.context.view_layer.update()
    settle()
    wanted = pixels(face.effigy.image)
    addon("blender.pictures.runs").runs.memory.clear()
    follower_of(face).wanted = follower_of(face).shown = None
    addon("blender.pictures.activity").changes.mark()
    settle()
    np.testing.assert_array_equal(pixels(face.effigy.image), wanted)


def test_controls_that_the_model_lacks_are_muted(scene, face):
    face.shape_key_add(name="tongueOut", from_mix=False).value = 0.5
    face.effigy.control_names += "\ntongueOut"  # as of a model that has it
    bpy.ops.effigy.change_identity(seed=3)
    assert face.data.shape_keys.key_blocks["tongueOut"].mute
    assert not face.data.shape_keys.key_blocks["jawOpen"].mute


def test_the_mesh_of_another_kind_of_model_is_refused(scene, face):
    import bmesh

    mesh = bmesh.new()
    mesh.from_mesh(face.data)
    mesh.verts.new((0, 0, 0))
    mesh.to_mesh(face.data)
    mesh.free()
    latent = face.effigy.latent
    with pytest.raises(RuntimeError, match="another kind of model"):
        bpy.ops.effigy.change_identity(seed=3)
    assert face.effigy.latent == latent
