# SPDX-License-Identifier: GPL-3.0-or-later
"""A face becomes a recording; pictures, films and cameras drive it."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from conftest import addon
from helpers import key, swing


def poses(face, scene):
    """The controls and angles of every frame, as the scene has them."""
    controls, found = addon("blender.scene.controls"), []
    for frame in range(scene.frame_start, scene.frame_end + 1):
        scene.frame_set(frame)
        angles = controls.angles_now(face, scene.camera)
        found.append([*controls.values_of(face).values(), angles.yaw, angles.pitch, angles.roll])
    return np.array(found)


def test_a_face_that_is_exported_and_imported_moves_as_it_did(scene, face, tmp_path, capsys):
    scene.frame_start, scene.frame_end = 5, 16
    swing(face, scene, 15)
    for number, block in enumerate(face.data.shape_keys.key_blocks[1:]):
        ends = (block.slider_min, block.slider_max) if number % 2 else (0.0, 0.8 * block.slider_max)
        key(face, block.name, (5, ends[0]), (10, ends[1]), (16, 0.0))
    wanted = poses(face, scene)
    scene.frame_set(7)
    face.data.shape_keys.key_blocks["jawOpen"].value = 0.111  # not keyed yet
    path = str(tmp_path / "take.csv")
    assert bpy.ops.effigy.export_arkit(filepath=path) == {"FINISHED"}
    assert scene.frame_current == 7
    assert face.data.shape_keys.key_blocks["jawOpen"].value == pytest.approx(0.111), "an edit was lost"
    assert "columns of Effigy's own" in capsys.readouterr().out
    face.animation_data_clear()
    face.data.shape_keys.animation_data_clear()
    assert bpy.ops.effigy.import_arkit(filepath=path, start=5, smoothing=0.0) == {"FINISHED"}
    found = poses(face, scene)
    np.testing.assert_allclose(found[:, :-3], wanted[:, :-3], atol=4e-3)
    np.testing.assert_allclose(found[:, -3:], wanted[:, -3:], atol=0.05)
