# SPDX-License-Identifier: GPL-3.0-or-later
"""Posing by buttons, by dragging points of the face, and from the library."""

from __future__ import annotations

import math

import bpy
import numpy as np
import pytest
from conftest import addon, follower_of
from mathutils import Vector
from test_evaluated import assert_drawn

from effigy_client.mirror import Twin


def angles(face, scene):
    bpy.context.view_layer.update()
    controls = addon("blender.scene.controls")
    found = controls.angles_now(face, scene.camera)
    return np.array([found.yaw, found.pitch, found.roll])


def values(face):
    return addon("blender.scene.controls").values_of(face)


def test_neutral_sets_every_control_to_zero_and_leaves_the_pose(scene, face):
    face.rotation_euler.z += 0.2
    before = angles(face, scene)
    for block in face.data.shape_keys.key_blocks[1:]:
        block.value = 0.5
    assert bpy.ops.effigy.neutral() == {"FINISHED"}
    assert set(values(face).values()) == {0.0}
    np.testing.assert_allclose(angles(face, scene), before, atol=1e-4)


def test_mirror_is_its_own_inverse(scene, face):
    bpy.ops.effigy.randomise(seed=3)
    face.rotation_mode = "XYZ"
    face.rotation_euler = (0.1, 0.2, 0.3)
    before, pose = values(face), angles(face, scene)
    bpy.ops.effigy.mirror()
    np.testing.assert_allclose(angles(face, scene), pose * [-1, 1, -1], atol=1e-3)
    bpy.ops.effigy.mirror()
    np.testing.assert_allclose(angles(face, scene), pose, atol=1e-3)
    assert values(face) == pytest.approx(before)


def test_mirror_changes_over_what_the_model_says(scene, face):
    names = [block.name for block in face.data.shape_keys.key_blocks[1:3]]
    twins = addon("blender.scene.controls").twins_of(face)
    assert twins["eyeBlinkLeft"].name == "eyeBlinkRight"
    said = twins | {names[0]: Twin(names[1], is_odd=True), names[1]: Twin(names[0], is_odd=True)}
    face.effigy.set_twins(said)
    for name, value in zip(names, (0.2, -0.1), strict=True):
        face.data.shape_keys.key_blocks[name].value = value
    bpy.ops.effigy.mirror()
    assert [values(face)[name] for name in names] == pytest.approx([0.1, -0.2])


def test_mirror_reads_the_sides_of_an_older_file_in_names(scene, face):
    face.effigy.control_twins = ""
    face.data.shape_keys.key_blocks["eyeBlinkLeft"].value = 0.4
    bpy.ops.effigy.mirror()
    assert values(face)["eyeBlinkRight"] == pytest.approx(0.4)
    assert values(face)["eyeBlinkLeft"] == 0


def test_reset_pose_is_the_identitys_own_picture_again(scene, face, settle):
    face.rotation_mode = "XYZ"
    face.rotation_euler = (0.3, 0.2, 0.6)
    bpy.ops.effigy.reset_pose()
    rest = face.effigy.rest_yaw, face.effigy.rest_pitch, face.effigy.rest_roll
    np.testing.assert_allclose(angles(face, scene), rest, atol=1e-3)
    settle()
    shown = follower_of(face).shown
    assert (shown.yaw, shown.pitch) == pytest.approx(rest[:2], abs=1e-4)


def test_randomise_stays_in_range_and_a_seed_repeats_it(scene, face):
    bpy.ops.effigy.randomise(seed=7, strength=1.0)
    drawn = values(face)
    assert any(drawn.values())
    for block in face.data.shape_keys.key_blocks[1:]:
        assert block.slider_min <= block.value <= block.slider_max
    bpy.ops.effigy.neutral()
    bpy.ops.effigy.randomise(seed=7, strength=1.0)
    assert values(face) == drawn


def test_key_all_keys_place_turn_and_controls(scene, face):
    scene.frame_set(2)
    bpy.ops.effigy.key_all()
    fcurves = addon("blender.scene.fcurves")
    assert {curve.data_path for curve in fcurves.curves_of(face)} >= {"location", "rotation_euler"} or {
        curve.data_path for curve in fcurves.curves_of(face)
    } >= {"location", "rotation_quaternion"}
    keyed = fcurves.curves_of(face.data.shape_keys)
    assert len([curve for curve in keyed if curve.data_path.endswith("value")]) == len(values(face))


def test_auto_keying_keys_what_a_button_changes(scene, face):
    scene.tool_settings.use_keyframe_insert_auto = True
    try:
        scene.frame_set(3)
        bpy.ops.effigy.randomise(seed=1)
        curves = addon("blender.scene.fcurves").curves_of(face.data.shape_keys)
        assert {point.co[0] for curve in curves for point in curve.keyframe_points} == {3.0}
        assert not addon("blender.scene.fcurves").curves_of(face), "an expression keyed the head's motion too"
        scene.frame_set(5)
        bpy.ops.effigy.reset_pose()
        turned = addon("blender.scene.fcurves").curves_of(face)
        assert {curve.data_path for curve in turned} == {addon("blender.scene.controls").rotation_path(face)}
        assert {point.co[0] for curve in curves for point in curve.keyframe_points} == {3.0}
    finally:
        scene.tool_settings.use_keyframe_insert_auto = False


def grab(face, scene, landmark, move, **how):
    """Drags a landmark by ``move`` (right and up as the camera sees it, in head units); returns how far it moved."""
    drag = addon("blender.ui.grab").Drag(face, scene.camera, landmark, mirror=how.pop("mirror", False))
    start = drag.place(landmark)
    axes = np.array(scene.camera.matrix_world)[:3, :2]
    target = start + Vector((axes @ np.array(move)).tolist())
    drag.to(target, by_turning=how.pop("turn", drag.turns))
    bpy.context.view_layer.update()
    return (drag.place(landmark) - start).length, drag


def test_dragging_the_lower_lip_down_opens_the_jaw(scene, face):
    bpy.context.view_layer.update()
    came, _ = grab(face, scene, 66, (0.0, -0.15))  # iBUG 66: the middle of the lower lip's inner edge
    assert values(face)["jawOpen"] > 0.3
    assert came == pytest.approx(0.15, abs=0.05)
    tiny = {name: value for name, value in values(face).items() if 0 < abs(value) < 5e-4}
    assert not tiny, "the panel shows a control that the drag did not mean"
    assert_drawn("a drag")


def test_a_mirrored_drag_moves_both_sides_alike(scene, face):
    bpy.ops.effigy.face_camera()
    bpy.context.view_layer.update()
    axes = np.array(scene.camera.matrix_world)[:3, :2].T
    # iBUG: two upper lids, down; two corners of the mouth, up and outwards.
    for landmark, other, move in ((44, 37, (0.0, -0.08)), (37, 44, (0.0, -0.08)), (54, 48, (0.05, 0.05))):
        drag = addon("blender.ui.grab").Drag(face, scene.camera, landmark, mirror=True)
        assert drag.landmarks == [landmark, other]
        places = [drag.place(each) for each in (landmark, other)]
        drag.to(places[0] + Vector((np.array(move) @ axes).tolist()), by_turning=False)
        bpy.context.view_layer.update()
        moved = [
            axes @ np.array(drag.place(each) - place) for each, place in zip((landmark, other), places, strict=True)
        ]
        np.testing.assert_allclose(moved[0], move, atol=0.03)
        np.testing.assert_allclose(moved[1], np.array(move) * (-1, 1), atol=0.03)
        drag.cancel()


def test_every_landmark_knows_its_twin(scene, face):
    # By position alone, the lid of a nearly closed eye would be taken for the lower lid of the other eye.
    controls = addon("blender.scene.controls")
    twins = [controls.twin_of(face, landmark) for landmark in range(68)]
    assert [twins[twin] for twin in twins] == list(range(68))
    assert [twins[landmark] for landmark in (0, 8, 19, 27, 37, 41, 48, 57)] == [16, 8, 24, 27, 44, 46, 54, 57]


def test_dragging_the_nose_turns_the_head(scene, face):
    bpy.context.view_layer.update()
    before = angles(face, scene)
    grab(face, scene, 30, (0.15, 0.0))  # the tip of the nose, to the picture's right
    assert angles(face, scene)[0] > before[0] + 5
    assert not any(values(face).values())


# What dragging a point of the person's own face by 0.07 head units is to do, by iBUG's numbers: a control that grows or
# shrinks, or how the head turns. All else stays.
MEANT = {
    (48, "up"): "mouthSmile+", (48, "left"): "mouthSmile+",  # the corners of the mouth; left and right in the picture
    (54, "up"): "mouthSmile+", (54, "right"): "mouthSmile+",
    (57, "down"): "jawOpen+", (57, "up"): "jawOpen-",
    (66, "down"): "jawOpen+", (66, "up"): "jawOpen-",
    (37, "down"): "eyeBlinkRight+", (37, "up"): "eyeBlinkRight-",
    (44, "down"): "eyeBlinkLeft+", (44, "up"): "eyeBlinkLeft-",
    (19, "up"): "browUp+", (19, "down"): "browUp-",
    (24, "up"): "browUp+", (24, "down"): "browUp-",
    (21, "up"): "browUp+", (21, "down"): "browUp-",
    (30, "right"): "yaw+", (30, "up"): "pitch+",
    (8, "right"): "roll+", (8, "up"): "pitch+",
    (2, "right"): "roll+", (2, "left"): "roll-",
}  # fmt: skip
WAYS = {"up": (0, 0.07), "down": (0, -0.07), "left": (-0.07, 0), "right": (0.07, 0)}


def test_a_drag_does_what_the_hand_means_and_nothing_else(scene, face):
    bpy.ops.effigy.face_camera()
    bpy.context.view_layer.update()
    before, found = angles(face, scene), {}
    for landmark, way in MEANT:
        _, drag = grab(face, scene, landmark, WAYS[way])
        changed = {name: value for name, value in values(face).items() if abs(value) > 0.01}
        turned = dict(zip(("yaw", "pitch", "roll"), np.subtract(angles(face, scene), before), strict=True))
        drag.cancel()
        bpy.context.view_layer.update()
        every = changed or {name: degrees for name, degrees in turned.items() if abs(degrees) > 0.5}
        name = max(every, key=lambda name: abs(every[name]), default="")
        found[landmark, way] = f"{name}{'+' if every.get(name, 0) > 0 else '-'}"
        others = sorted(abs(value) for value in every.values())[:-1]
        assert not others or others[-1] < 0.25 * abs(every[name]), (landmark, way, every)
        assert drag.turns is (not changed)
        assert drag.turns or max(abs(degrees) for degrees in turned.values()) < 1e-3, (landmark, way, turned)
    assert found == MEANT


def test_keys_choose_between_turn_and_expression_at_any_point(scene, face):
    before = angles(face, scene)
    grab(face, scene, 54, (0.08, 0.05), turn=True)
    assert not any(values(face).values())
    assert np.abs(angles(face, scene) - before).max() > 2
    _, drag = grab(face, scene, 8, (0, -0.1), turn=False)
    assert values(face)["jawOpen"] > 0.3
    assert not drag.head


def test_a_cancelled_drag_leaves_no_trace(scene, face):
    bpy.context.view_layer.update()
    before, pose = values(face), angles(face, scene)
    _, drag = grab(face, scene, 48, (0.1, 0.1))
    assert values(face) != before
    drag.cancel()
    assert values(face) == before
    np.testing.assert_allclose(angles(face, scene), pose, atol=1e-4)


def test_a_cancelled_drag_leaves_whole_turns_as_they_were(scene, face):
    face.rotation_mode = "XYZ"
    face.rotation_euler.z = math.radians(370)
    bpy.context.view_layer.update()
    _, drag = grab(face, scene, 48, (0.1, 0.1))
    drag.cancel()
    assert face.rotation_euler.z == pytest.approx(math.radians(370), abs=1e-6)


@pytest.mark.parametrize("carrier", ["CHILD_OF", "ARMATURE"])
def test_a_head_that_a_constraint_carries_is_turned_in_its_place(scene, face, carrier):
    bpy.context.view_layer.update()
    if carrier == "CHILD_OF":
        support = bpy.data.objects.new("Support", None)
        scene.collection.objects.link(support)
        face.constraints.new("CHILD_OF").target = support
    else:
        support = bpy.data.objects.new("Support", bpy.data.armatures.new("Support"))
        scene.collection.objects.link(support)
        bpy.context.view_layer.objects.active = support
        bpy.ops.object.mode_set(mode="EDIT")
        bone = support.data.edit_bones.new("Head")
        bone.tail = (0, 0, 1)
        bpy.ops.object.mode_set(mode="OBJECT")
        bpy.context.view_layer.objects.active = face
        target = face.constraints.new("ARMATURE").targets.new()
        target.target, target.subtarget = support, "Head"
    support.location, support.rotation_euler = (2, 1, 0.5), (0.2, 0.1, 0.6)
    bpy.context.view_layer.update()
    place = face.matrix_world.translation.copy()
    for _ in range(3):
        bpy.ops.effigy.face_camera()
        bpy.context.view_layer.update()
        assert (face.matrix_world.translation - place).length < 1e-4, "the head ran away"
        assert angles(face, scene)[:2] == pytest.approx((0, 0), abs=1e-2)
    before = np.array(face.matrix_world)
    _, drag = grab(face, scene, 30, (0.15, 0.0))
    assert abs(angles(face, scene)[0]) > 3
    drag.to(drag.place(30), by_turning=False)
    drag.cancel()
    bpy.context.view_layer.update()
    np.testing.assert_allclose(np.array(face.matrix_world), before, atol=1e-5)


def test_the_library_keeps_applies_and_removes_expressions(scene, face, settle):
    library = addon("blender.ui.library")
    face.effigy.matte = "HEAD"
    bpy.ops.effigy.randomise(seed=5, strength=1.0)
    bpy.context.view_layer.update()
    settle()
    stored = values(face)
    assert bpy.ops.effigy.store_expression(name="Überrascht!?") == {"FINISHED"}
    (name,) = library.names()
    assert name == "Überrascht!_"
    thumbnail = bpy.data.images.load(str(library.folder() / f"{name}.png"))
    assert (thumbnail.channels, thumbnail.pixels[3]) == (4, 0.0), "the head is not cut out"
    bpy.data.images.remove(thumbnail)
    with pytest.raises(RuntimeError, match="already: choose another name"):
        bpy.ops.effigy.store_expression(name=name)
    assert bpy.ops.effigy.store_expression(name=name, replace=True) == {"FINISHED"}
    bpy.ops.effigy.neutral()
    assert bpy.ops.effigy.apply_expression(name=name, share=0.5) == {"FINISHED"}
    assert values(face) == pytest.approx({control: value / 2 for control, value in stored.items()}, abs=1e-5)
    bpy.ops.effigy.apply_expression(name=name)
    assert values(face) == pytest.approx(stored, abs=1e-5)
    (library.folder() / f"{name}.json").write_text("{")
    with pytest.raises(RuntimeError, match="no stored expression"):
        bpy.ops.effigy.apply_expression(name=name)
    bpy.ops.effigy.remove_expression(name=name)
    assert library.names() == []


def test_a_library_without_room_says_so(scene, face, settle, monkeypatch):
    settle()
    library = addon("blender.ui.library")
    here = library.folder() / "taken"
    here.write_text("a file where a folder should be")
    monkeypatch.setattr(library, "folder", lambda: here)
    with pytest.raises(RuntimeError, match="The expression cannot be written"):
        bpy.ops.effigy.store_expression(name="Lost")


def test_the_library_keeps_one_expression_chosen(scene, face):
    manager, library = bpy.context.window_manager, addon("blender.ui.library")
    for name in ("B", "A", "C"):
        bpy.ops.effigy.store_expression(name=name)
        assert manager.effigy_expression == name
    # Buttons store numbers as floats: the clicked value must survive that.
    assert all(int(np.float32(number)) == number for *_, number in library.items(None, None))
    manager.effigy_expression = "B"
    for removed, chosen in (("A", "B"), ("B", "C")):
        bpy.ops.effigy.remove_expression(name=removed)
        assert manager.effigy_expression == chosen
    bpy.ops.effigy.remove_expression(name="C")


def test_an_expression_that_is_gone_is_told_and_no_other_takes_its_place(scene, face):
    library, before = addon("blender.ui.library"), values(face)
    for name in ("A", "B"):
        bpy.ops.effigy.store_expression(name=name)
    (library.folder() / "A.json").unlink()  # another Blender
    for operator in (bpy.ops.effigy.apply_expression, bpy.ops.effigy.remove_expression):
        for name in ("A", "../B", ""):
            with pytest.raises(RuntimeError, match="There is no expression"):
                operator(name=name)
    assert values(face) == before
    assert library.names() == ["B"]
    bpy.ops.effigy.remove_expression(name="B")


def test_letting_the_turn_go_in_mid_drag_brings_the_point_back_under_the_hand(scene, face):
    bpy.context.view_layer.update()
    drag = addon("blender.ui.grab").Drag(face, scene.camera, 57, mirror=False)
    start = drag.place(57)
    target = start + Vector((0, 0, -0.1))
    drag.to(target, by_turning=True)
    bpy.context.view_layer.update()
    drag.to(target, by_turning=False)
    bpy.context.view_layer.update()
    assert (drag.place(57) - target).length < 0.06
    np.testing.assert_allclose(np.array(face.matrix_world), np.array(drag.matrix), atol=1e-6)
