# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bake writes, effigy film paints from exported keys: the same bytes. And the bake of a whole file."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import bpy
import pytest
from conftest import addon
from helpers import key, swing

pytestmark = pytest.mark.newest


@pytest.mark.parametrize("depth", ["8", "16"])
def test_exported_keys_are_painted_to_the_bytes_of_the_bake(scene, face, tmp_path, depth):
    swing(face, scene, 20)
    key(face, "jawOpen", (1, 0.0), (3, 0.7))
    key(face, "mouthSmile", (1, 0.2), (4, 0.6))
    face.effigy.bake_depth = depth
    bpy.ops.effigy.bake()
    baked = addon("blender.pictures.bake").folder_of(face)
    exported = tmp_path / "keys.json"
    assert bpy.ops.effigy.export_keys(filepath=str(exported)) == {"FINISHED"}
    painted = tmp_path / "painted" / baked.name
    command = [os.environ["EFFIGY_COMMAND"], "film", exported, "--model", "first-default", "--out", painted]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "4 frames painted" in ran.stdout
    assert {path.name: path.read_bytes() for path in painted.iterdir()} == {
        path.name: path.read_bytes() for path in baked.iterdir()
    }


def test_every_face_of_a_file_is_baked(scene, backend, capsys):
    bpy.ops.effigy.add_face(seed=4)
    bpy.ops.effigy.add_face(seed=5)
    both = [obj for obj in scene.objects if obj.effigy.is_face]
    scene.frame_end = 2
    bpy.ops.wm.save_mainfile()
    assert bpy.ops.effigy.bake_all(save=True) == {"FINISHED"}
    assert [face.effigy.source for face in both] == ["BAKED", "BAKED"]
    assert capsys.readouterr().out.count("2 frames painted, 0 kept") == 2
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    for face in (obj for obj in bpy.context.scene.objects if obj.effigy.is_face):
        assert Path(bpy.path.abspath(face.effigy.baked.filepath)).is_file()


def test_a_file_without_faces_says_so(scene, backend):
    with pytest.raises(RuntimeError, match="holds no face of its own"):
        bpy.ops.effigy.bake_all()
