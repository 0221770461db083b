# SPDX-License-Identifier: GPL-3.0-or-later
"""A face becomes somebody who was made of a picture."""

from __future__ import annotations

import os
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from conftest import addon
from helpers import key

import effigy_client.parameters
import effigy_client.pixels


def painted(face) -> np.ndarray:
    """The exact picture of a face at rest, flat RGBA."""
    render, reader = addon("blender.pictures.render"), addon("blender.scene.reader")
    rest = effigy_client.parameters.PictureParameters.of(face.effigy.rest_yaw, face.effigy.rest_pitch)
    return render.paint(face, reader.FaceState(rest, np.eye(4), 0.0)).pixels


def test_a_photographs_square_lies_where_the_plate_is():
    """A square that is turned, in a picture that is not square: its corners are the plate's."""
    corners = addon("blender.scene.photograph").corners
    width, height, centre, half, angle = 400, 300, np.array([180.0, 140.0]), 70.0, 0.3
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half @ turn.T + centre  # clockwise as one sees it
    lower_left, _, upper_right, upper_left = corners(square / [width, height], width, height)[:, :2]
    across, down = upper_right - upper_left, lower_left - upper_left
    found = [upper_left + across * x / width + down * y / height for x, y in square]
    np.testing.assert_allclose(found, [[-0.5, 0.5], [0.5, 0.5], [0.5, -0.5], [-0.5, -0.5]], atol=1e-9)


def test_a_person_is_made_of_a_picture_and_kept_in_the_file(scene, face, settle, tmp_path):
    """Of a picture that the model painted of somebody else: the face becomes them, and the .blend opens them again.

    Posed, they are pasted into the picture, which then stands around the plate.
    """
    picture, kept = tmp_path / "somebody.png", tmp_path / "kept.blend"
    bpy.ops.effigy.change_identity(seed=50)
    values = painted(face)
    side = int((len(values) // 4) ** 0.5)
    picture.write_bytes(effigy_client.pixels.to_png(values, side, side))
    bpy.ops.effigy.change_identity(seed=51)
    assert bpy.ops.effigy.identity_from_photo(filepath=str(picture), tune=False) == {"FINISHED"}
    assert b"provenance" in face.effigy.anchor.latent_bytes()
    assert np.abs(painted(face) - values).mean() < 0.01
    who = addon("blender.ui.identity_panel")._who
    assert who(face.effigy) == "From the photograph somebody.png"
    latent = face.effigy.latent
    bpy.ops.wm.save_as_mainfile(filepath=str(kept))
    bpy.ops.wm.open_mainfile(filepath=str(kept))
    face = next(each for each in bpy.data.objects if each.effigy.latent)
    assert face.effigy.latent == latent
    face.data.shape_keys.key_blocks["jawOpen"].value = 0.8
    assert bpy.ops.effigy.paste_into_photo() == {"FINISHED"}
    bpy.context.view_layer.update()
    settle()
    said = addon("blender.ui.face_panel").status
    assert said(face).word.startswith("Exact")
    face.data.shape_keys.key_blocks["jawOpen"].value = 0.4
    bpy.context.view_layer.update()
    settle()
    assert said(face).word == "Source Photo shows another moment", "the photograph is before the plate"
    face.data.shape_keys.key_blocks["jawOpen"].value = 0.8
    bpy.context.view_layer.update()
    settle()
    assert said(face).word.startswith("Exact")
    plane = face.effigy.photograph
    pasted = plane.data.materials[0].node_tree.nodes["Picture"].image
    assert tuple(pasted.size) == (side, side)
    shown = np.array(pasted.pixels)
    assert 0.002 < np.abs(shown - values).mean() < 0.1, "posed, in the same picture"
    corners = np.array([vertex.co for vertex in plane.data.vertices])[:, :2]
    np.testing.assert_allclose(corners, [[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]], atol=1e-5)
    hiding = addon("blender.scene.obstacles").hiding
    assert hiding(bpy.context, face, bpy.context.scene.camera) == [], "it is meant to cover the plate"
    plane.effigy.owner = None
    assert hiding(bpy.context, face, bpy.context.scene.camera) == [plane.name], "as 0.2.0 left it"
    addon("blender.scene.doubles").mend(face, None)
    plane.name = "Any Name"
    assert hiding(bpy.context, face, bpy.context.scene.camera) == []
    assert plane.effigy.owner == face.effigy.plate.effigy.owner == face
    face.effigy.source_photo = str(tmp_path / "absent.png")
    with pytest.raises(RuntimeError, match="choose the photograph"):
        bpy.ops.effigy.paste_into_photo()
    face.effigy.source_photo = ""
    assert who(face.effigy) == "From a photograph"
    bpy.ops.effigy.remove_photo()
    assert face.effigy.photograph is None


def test_pasted_frames_are_compared_each_with_its_own(scene, face, settle):
    pasted, read = addon("blender.pictures.pasted"), addon("blender.ui.export_keys").read_range
    key(face, "jawOpen", (1, 0.0), (2, 0.8))
    states = read(face, scene, range(1, 3))
    now = {frame: state.parameters for frame, state in states.items()}
    assert not pasted.is_another(face, now[1], 1), "there is no photograph"
    face.effigy.photograph = plane = bpy.data.objects.new("Photograph", None)
    scene.collection.objects.link(plane)
    assert pasted.is_another(face, now[1], 1), "as 0.2.0 left it"
    pasted.note(face, states, is_still=False)
    assert [pasted.is_another(face, now[one], other) for one, other in ((1, 1), (2, 2), (1, 2), (1, 3))] == [
        False, False, True, True
    ]  # fmt: skip
    pasted.note(face, {2: states[2]}, is_still=True)
    assert [pasted.is_another(face, now[frame], frame) for frame in (1, 2)] == [True, False]
    bpy.ops.effigy.change_identity(seed=50)
    assert pasted.is_another(face, now[2], 2), "somebody else"


def test_a_picture_of_nobody_makes_no_person(scene, face, tmp_path):
    picture, latent = tmp_path / "grey.png", face.effigy.latent
    picture.write_bytes(effigy_client.pixels.to_png(np.full(64 * 64 * 4, 0.5, np.float32), 64, 64))
    with pytest.raises(RuntimeError, match="no face is seen"):
        bpy.ops.effigy.identity_from_photo(filepath=str(picture))
    with pytest.raises(RuntimeError, match="cannot be read"):
        bpy.ops.effigy.identity_from_photo(filepath=str(tmp_path / "absent.png"))
    assert face.effigy.latent == latent


def test_a_picture_of_bytes_becomes_icons():
    """The whole, and its two halves, each with its own pixels."""
    shown, drawn = addon("blender.ui.portrait").Shown(parts=2), []
    halves = np.concatenate([np.full((64, 64, 4), level, np.float32) for level in (0.25, 1.0)], axis=1)
    halves[..., 3] = 1
    shown.show(effigy_client.pixels.to_png(halves.ravel(), 64, 128))
    layout = SimpleNamespace(template_icon=lambda icon_value, scale: drawn.append(icon_value), label=lambda text: None)
    layout.row = layout.column = lambda align=False: layout
    shown.draw(layout, 9.0)
    shown.draw_parts(layout, ("Left", "Right"), 5.0)
    assert len(set(drawn)) == 3 or bpy.app.background
    icons = [shown._icons[f"1-{place}"] for place in (1, 2)]
    assert [icon.image_size[0] for icon in icons] == [icons[0].image_size[1]] * 2
    for icon, level in zip(icons, (0.25, 1.0), strict=True):
        np.testing.assert_allclose(np.reshape(icon.image_pixels_float[:], (-1, 4))[:, :3], level, atol=0.01)
    assert [each for each in os.listdir(bpy.app.tempdir) if each.startswith("effigy-shown")] == []
    shown.forget()
    shown.draw(None, 9.0)  # nothing
    shown.draw_parts(None, (), 5.0)


def test_the_panel_says_whose_face_a_person_is_made_for(scene, face):
    """Where another face is active than that which From Photo was pressed for."""
    module, said = addon("blender.ui.portrait"), []
    layout = SimpleNamespace(label=lambda **what: said.append(what["text"]), operator=lambda *what, **how: None)
    layout.row = lambda align=False: layout
    for name in (face.name, "Somebody Else"):
        module.portrait.begin("us.jpg", name)
        module.portrait.end(made=True)
        module.EFFIGY_PT_portrait.draw(SimpleNamespace(layout=layout), bpy.context)
    module.portrait.close()
    assert said == ["us.jpg", "us.jpg", "For Somebody Else"]


@pytest.mark.parametrize("faces", [1, 3])
def test_where_a_picture_shows_several_faces_the_artist_is_asked_which(faces, scene, face, monkeypatch):
    """Without a number; where there is one face, that one is made at once."""
    module = addon("blender.ui.identity_from_photo")
    asked, begun = [], []
    monkeypatch.setattr(module, "ask_which", lambda context, *rest: asked.append(rest))
    monkeypatch.setattr(module.session, "connected", lambda: SimpleNamespace(link="link"))
    monkeypatch.setattr(module, "LongWork", lambda link, request: begun.append(request) or unfinished)
    unfinished = SimpleNamespace(poll=lambda: None, stage="seen", share=0.5, preview=None)
    read = SimpleNamespace(faces=[None] * faces, numbered=b"a picture")
    make = module.EFFIGY_OT_make_person
    work = SimpleNamespace(
        _counting=SimpleNamespace(poll=lambda: read), _work=None, _request="request",
        filepath="/somewhere/us.jpg", number=0,
        as_keywords=lambda ignore: {"tune": True}, show_status=lambda context, text: None,
    )  # fmt: skip
    work._count = lambda context: make._count(work, context)
    results = [make.look(work, bpy.context) for _ in range(1 if faces > 1 else 2)]
    assert asked == ([(b"a picture", 3, {"tune": True})] if faces == 3 else [])
    assert begun == ([] if faces == 3 else ["request"])
    assert results[-1] == ({"CANCELLED"} if faces == 3 else None)
    addon("blender.ui.portrait").portrait.close()
