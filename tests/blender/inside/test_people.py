# SPDX-License-Identifier: GPL-3.0-or-later
"""A face becomes somebody who was made of a picture."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from conftest import addon

import effigy_client.asking
import effigy_client.pixels


def painted(face) -> np.ndarray:
    """The exact picture of a face at rest, flat RGBA."""
    render, reader = addon("blender.pictures.render"), addon("blender.scene.reader")
    rest = effigy_client.asking.Asking.of(face.effigy.rest_yaw, face.effigy.rest_pitch)
    values, _ = render.paint(face, reader.FaceState(rest, np.eye(4), 0.0))
    return values


def test_a_person_is_made_of_a_picture_and_kept_in_the_file(scene, face, settle, tmp_path):
    """Of a picture that the model painted of somebody else: the face becomes them, and the .blend opens them again."""
    picture, kept = tmp_path / "somebody.png", tmp_path / "kept.blend"
    bpy.ops.effigy.change_identity(seed=50)
    values = painted(face)
    side = int((len(values) // 4) ** 0.5)
    picture.write_bytes(effigy_client.pixels.to_png(values, side, side))
    bpy.ops.effigy.change_identity(seed=51)
    assert bpy.ops.effigy.identity_from_photo(filepath=str(picture)) == {"FINISHED"}
    assert b"provenance" in face.effigy.latent_bytes()
    assert np.abs(painted(face) - values).mean() < 0.01
    latent = face.effigy.latent
    bpy.ops.wm.save_as_mainfile(filepath=str(kept))
    bpy.ops.wm.open_mainfile(filepath=str(kept))
    assert next(each for each in bpy.data.objects if each.effigy.latent).effigy.latent == latent


def test_a_picture_of_nobody_makes_no_person(scene, face, tmp_path):
    picture, latent = tmp_path / "grey.png", face.effigy.latent
    picture.write_bytes(effigy_client.pixels.to_png(np.full(64 * 64 * 4, 0.5, np.float32), 64, 64))
    with pytest.raises(RuntimeError, match="no face is seen"):
        bpy.ops.effigy.identity_from_photo(filepath=str(picture))
    with pytest.raises(RuntimeError, match="cannot be read"):
        bpy.ops.effigy.identity_from_photo(filepath=str(tmp_path / "absent.png"))
    assert face.effigy.latent == latent
