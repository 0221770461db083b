# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes, likeness, and the average expression: sliders, keys, pictures, bakes."""

from __future__ import annotations

import json

import bpy
import numpy as np
import pytest
from conftest import addon
from helpers import pixels
from test_panel import rows


def looks_of(face):
    return [block.name for block in addon("blender.scene.controls").attributes_of(face)]


def block_of(face, name):
    return face.data.shape_keys.key_blocks[name]


@pytest.fixture()
def shown(settle):
    def show(face):
        bpy.context.view_layer.update()
        settle()
        return pixels(face.effigy.image).astype(int)

    return show


def test_the_models_attributes_are_sliders_of_their_own(face):
    session = addon("blender.pictures.session").session
    told = [p.name for p in session.welcome.controls if p.group == "attributes"]
    assert looks_of(face) == told
    assert len(told) >= 3
    controls = addon("blender.scene.controls")
    assert not {*told} & controls.values_of(face).keys()
    basis = controls.points_of(face.data.shape_keys.key_blocks[0])
    for name in told:
        np.testing.assert_allclose(controls.points_of(block_of(face, name)), basis, atol=1e-6)
        assert (block_of(face, name).slider_min, block_of(face, name).slider_max) == (-3, 3)


def test_an_attribute_changes_the_picture_and_going_back_gives_the_same_bits(face, shown):
    before = shown(face)
    block = block_of(face, looks_of(face)[0])
    block.value = 2.0
    changed = shown(face)
    assert np.abs(changed - before).mean() > 2
    assert bpy.ops.effigy.neutral() == {"FINISHED"}
    assert block.value == 2.0, "neutral is of the expression"
    bpy.ops.effigy.mirror()
    bpy.ops.effigy.randomise(seed=1)
    bpy.ops.effigy.neutral()
    bpy.ops.effigy.mirror()
    assert block.value == 2.0
    assert bpy.ops.effigy.reset_attributes() == {"FINISHED"}
    assert np.array_equal(shown(face), before)


def test_attributes_and_likeness_are_keyed_and_go_into_records(scene, face, tmp_path):
    name = looks_of(face)[0]
    block_of(face, name).value, face.effigy.keep = 1.5, 0.25
    assert bpy.ops.effigy.key_all() == {"FINISHED"}
    scene.frame_set(3)
    block_of(face, name).value, face.effigy.keep = 0.0, 1.0
    assert bpy.ops.effigy.key_all() == {"FINISHED"}, "and the way back"
    read_face = addon("blender.scene.reader").read_face
    asked = {}
    for frame in (1, 3):
        scene.frame_set(frame)
        asked[frame] = read_face(face, scene, bpy.context.evaluated_depsgraph_get()).parameters
    assert (dict(asked[1].controls), asked[1].keep) == ({name: 1.5}, 0.25)
    assert (dict(asked[3].controls), asked[3].keep) == ({}, 1.0)
    path = tmp_path / "keys.json"
    assert bpy.ops.effigy.export_keys(filepath=str(path)) == {"FINISHED"}
    frames = json.loads(path.read_text())["frames"]
    assert (frames["1"]["controls"][name], frames["1"]["keep"]) == (1.5, 0.25)
    assert "keep" not in frames["3"]
    record_of = addon("blender.pictures.stale").record_of
    first, last = (record_of(face, asked[frame], "png") for frame in (1, 3))
    assert first.digest != last.digest
    assert json.loads(first.as_text())["keep"] == 0.25
    assert "keep" not in json.loads(last.as_text()), "bakes of before stay fresh"


def test_likeness_changes_a_posed_face_and_not_one_at_rest(face, shown):
    rest = shown(face)
    face.effigy.keep = 0.0
    assert np.array_equal(shown(face), rest)
    block_of(face, "mouthSmile").value = 1.0
    loose = shown(face)
    face.effigy.keep = 1.0
    assert np.abs(shown(face) - loose).mean() > 0.1


def test_relax_goes_to_the_average_expression_whoever_the_face_is(face, shown):
    controls = addon("blender.scene.controls")
    own = {item.name: item.value for item in face.effigy.own}
    assert own.keys() == controls.values_of(face).keys()
    assert max(map(abs, own.values())) > 0.02
    for name, value in own.items():
        block = block_of(face, name)
        assert block.slider_min <= -value <= block.slider_max
    assert bpy.ops.effigy.relax() == {"FINISHED"}
    assert controls.values_of(face) == pytest.approx({name: -value for name, value in own.items()}, abs=1e-6)
    follower = addon("blender.pictures.runs").run_of(face).follower
    shown(face)
    assert not follower.limits.clamped
    assert bpy.ops.effigy.neutral() == {"FINISHED"}
    assert set(controls.values_of(face).values()) == {0.0}


def test_a_face_of_an_earlier_version_learns_its_own_expression_from_the_backend(face):
    own = {item.name: item.value for item in face.effigy.own}
    face.effigy.own.clear()
    assert bpy.ops.effigy.relax() == {"FINISHED"}
    assert {item.name: item.value for item in face.effigy.own} == pytest.approx(own)


def test_absolute_values_count_from_the_average_face_and_keys_stay(scene, face):
    item = next(item for item in face.effigy.own if item.name == "mouthSmile")
    block = block_of(face, "mouthSmile")
    assert item.absolute == pytest.approx(item.value)
    item.absolute = 0.0
    assert block.value == pytest.approx(-item.value, abs=1e-6)
    item.absolute = 100.0
    assert block.value == pytest.approx(block.slider_max)
    scene.tool_settings.use_keyframe_insert_auto = True
    try:
        item.absolute = 0.25
    finally:
        scene.tool_settings.use_keyframe_insert_auto = False
    curves = addon("blender.scene.fcurves").curves_of(face.data.shape_keys)
    assert curves.find('key_blocks["mouthSmile"].value').evaluate(1) == pytest.approx(0.25 - item.value, abs=1e-6)


def test_a_face_gets_the_attributes_that_its_model_learnt_later(face, shown):
    before, names = shown(face), looks_of(face)
    for name in names:
        face.shape_key_remove(block_of(face, name))
    face.effigy.attribute_names = ""
    face.effigy.control_names = "\n".join(addon("blender.scene.controls").values_of(face))
    assert looks_of(face) == []
    artist = face.shape_key_add(name=names[0], from_mix=False)
    assert bpy.ops.effigy.add_attributes() == {"FINISHED"}
    assert looks_of(face) == names
    assert artist.name == f"{names[0]} (own)"
    assert np.array_equal(shown(face), before)
    block_of(face, names[0]).value = -2.0
    assert not np.array_equal(shown(face), before)
    assert not bpy.ops.effigy.add_attributes.poll()


def test_another_identity_keeps_attributes_and_tells_its_own_expression(face):
    name = looks_of(face)[0]
    block_of(face, name).value = 1.0
    before = {item.name: item.value for item in face.effigy.own}
    assert bpy.ops.effigy.change_identity(seed=11) == {"FINISHED"}
    assert block_of(face, name).value == 1.0
    assert {item.name: item.value for item in face.effigy.own} != before


def test_the_panels_sliders_are_as_many_either_way(face):
    controls = addon("blender.scene.controls")
    assert rows("EFFIGY_PT_attributes").count("value") == len(looks_of(face))
    assert "keep" in rows("EFFIGY_PT_attributes")
    before = rows("EFFIGY_PT_pose")
    assert before.count("value") == len(controls.values_of(face))
    face.effigy.absolute = True
    after = rows("EFFIGY_PT_pose")
    assert "value" not in after
    assert len(after) == len(before)
    assert "effigy.relax" in rows("EFFIGY_PT_average")
