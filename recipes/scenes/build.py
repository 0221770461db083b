# SPDX-License-Identifier: GPL-3.0-or-later
"""Three scenes with real light, and a fourth about what may carry a head. Run by the demo, inside Blender.

Each is saved as a .blend; all of it is made here, from nothing but the embedded faces.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
from mathutils import Matrix, Vector

from .props import add_ball, add_box, add_camera, add_light, add_person, empty_scene, paint, turned

SIZE, SAMPLES = (480, 270), 14


def portrait() -> bpy.types.Scene:
    """A portrait: key light, fill and rim before a painted cloth, all of which the face is lit by."""
    scene = empty_scene(SIZE, SAMPLES)
    add_camera(scene, (0.1, -1.6, 1.5), (0.1, 0, 1.455), 84)
    add_person(scene, 37, (0, 0, 1.5), 14, (0.035, 0.05, 0.09), mouthSmile=0.45).effigy.lit = True
    add_box(scene, "Cloth", (0, 1.3, 1.4), (4, 0.02, 3), paint("Cloth", (0.07, 0.065, 0.06), 0.95))
    add_light(scene, "Key", (1.0, -1.5, 2.0), (0, 0, 1.47), 42, 0.7, (1, 0.93, 0.85))
    add_light(scene, "Fill", (-1.3, -1.6, 1.5), (0, 0, 1.45), 14, 1.2, (0.8, 0.88, 1))
    add_light(scene, "Rim", (-0.9, 0.9, 2.1), (0, 0, 1.35), 30, 0.4, (1, 0.85, 0.7))
    add_light(scene, "On the Cloth", (0.7, 0.5, 0.7), (0.55, 1.3, 1.45), 16, 0.4, (1, 0.8, 0.6))
    return scene


def room() -> bpy.types.Scene:
    """A room with daylight: a ring of beads goes round the head, and things stand before and behind it."""
    scene = empty_scene(SIZE, SAMPLES)
    add_camera(scene, (0.25, -1.7, 1.34), (0.1, 0, 1.25), 62)
    person = add_person(scene, 17, (0, 0, 1.28), 12, (0.42, 0.1, 0.06), mouthSmile=0.45)
    person.effigy.lit = True
    wall, wood = paint("Wall", (0.55, 0.5, 0.42), 0.9), paint("Wood", (0.32, 0.17, 0.08), 0.45)
    add_box(scene, "Wall", (0, 1.6, 1.3), (6, 0.05, 3.2), wall)
    add_box(scene, "Floor", (0, 0, -0.02), (6, 6, 0.04), wood)
    add_box(scene, "Table", (0.1, -0.42, 0.78), (1.5, 0.5, 0.04), wood)
    add_box(scene, "Shelf", (0.75, 1.48, 1.45), (0.9, 0.2, 0.03), wood)
    for number, tone in enumerate(((0.5, 0.08, 0.05), (0.1, 0.25, 0.3), (0.6, 0.45, 0.1), (0.12, 0.16, 0.1))):
        height = 0.2 + 0.03 * (number % 3)
        place = (0.52 + 0.07 * number, 1.48, 1.465 + height / 2)
        add_box(scene, "Book", place, (0.05, 0.15, height), paint("Book", tone, 0.6))
    _ring_of_beads(scene, person.matrix_world.translation)
    vase = ((0.001, 0), (0.05, 0.005), (0.065, 0.07), (0.04, 0.15), (0.03, 0.2), (0.037, 0.22))
    stands = turned(scene, "Vase", vase, paint("Glaze", (0.05, 0.2, 0.22), 0.15))
    stands.location = (-0.26, -0.34, 0.8)
    for number in range(9):
        angle = 2.4 * number
        tip = Vector((0.12 * math.cos(angle), 0.08 * math.sin(angle), 0.28 + 0.05 * (number % 4)))
        leaf = add_ball(scene, "Leaf", stands.location + tip, 0.05, paint("Leaf", (0.08, 0.22, 0.05), 0.5))
        leaf.scale, leaf.rotation_euler = (0.3, 0.95, 0.12), (0.6, 0.3, angle + math.pi / 2)
        foot = stands.location + Vector((0, 0, 0.2))
        stem = turned(scene, "Stem", ((0.003, 0.0), (0.002, (leaf.location - foot).length)), leaf.data.materials[0])
        stem.matrix_world = Matrix.LocRotScale(foot, (leaf.location - foot).to_track_quat("Z", "Y"), None)
    add_light(scene, "Window", (-1.6, -1.8, 2.0), (0, 0, 1.2), 80, 1.3, (0.85, 0.93, 1))
    add_light(scene, "Bounce", (1.2, -1.7, 1.5), (0, 0, 1.25), 12, 1.2, (1, 0.95, 0.9))
    add_light(scene, "Lamp", (1.6, 0.9, 1.9), (0.7, 1.5, 1.4), 16, 0.2, (1, 0.75, 0.5))
    return scene


def _ring_of_beads(scene: bpy.types.Scene, middle: Vector) -> None:
    """A tilted ring about a head: half of it before the face, half hidden by it."""
    gold, count = paint("Gold", (0.9, 0.6, 0.2), 0.25, metal=1.0), 26
    tilt = Matrix.Rotation(math.radians(14), 3, "Y") @ Matrix.Rotation(math.radians(16), 3, "X")
    for number in range(count):
        angle = 2 * math.pi * number / count
        place = middle + tilt @ Vector((0.19 * math.cos(angle), 0.19 * math.sin(angle), -0.055))
        add_ball(scene, "Bead", place, 0.012, gold)


def interview() -> bpy.types.Scene:
    """A two-shot: two people at a table, lit by the studio, each with a microphone."""
    scene = empty_scene(SIZE, SAMPLES)
    add_camera(scene, (0, -2.2, 1.34), (0, 0, 1.215), 72)
    add_person(scene, 50, (-0.3, 0, 1.28), 20, (0.3, 0.27, 0.22), jawOpen=0.35).effigy.lit = True
    add_person(scene, 51, (0.3, 0.02, 1.28), -20, (0.04, 0.09, 0.12), mouthSmile=0.4).effigy.lit = True
    add_box(scene, "Table", (0, -0.45, 0.84), (1.9, 0.6, 0.05), paint("Table", (0.06, 0.05, 0.045), 0.25))
    steel, foam = paint("Steel", (0.5, 0.5, 0.5), 0.3, metal=1.0), paint("Foam", (0.02, 0.02, 0.02), 0.95)
    for side in (-1, 1):
        foot = ((0.001, 0), (0.05, 0.004), (0.05, 0.01), (0.008, 0.016), (0.008, 0.14), (0.001, 0.145))
        turned(scene, "Stand", foot, steel).location = (0.3 * side, -0.42, 0.865)
        add_ball(scene, "Microphone", (0.3 * side, -0.42, 1.03), 0.032, foam)
    add_box(scene, "Wall", (0, 1.5, 1.4), (6, 0.05, 3.5), paint("Wall", (0.05, 0.09, 0.12), 0.9))
    for number in range(7):
        place = (-1.2 + 0.4 * number, 1.46, 1.2)
        add_box(scene, "Slat", place, (0.05, 0.04, 2.4), paint("Slat", (0.3, 0.18, 0.09), 0.6))
    for side, tone in ((-1, (1, 0.92, 0.82)), (1, (0.9, 0.95, 1))):
        add_light(scene, "Softbox", (1.5 * side, -1.6, 2.2), (-0.2 * side, 0, 1.2), 50, 0.8, tone)
        add_light(scene, "Rim", (0.9 * side, 0.9, 2.3), (0.4 * side, 0, 1.3), 22, 0.3)
    return scene


def carried() -> bpy.types.Scene:
    """A head on the bone of an armature that nods, and one on an empty that moves as a tracked camera shot moves it.

    In both the face turns as its carrier does, without a key of its own.
    """
    scene = empty_scene(SIZE, SAMPLES)
    scene.frame_start, scene.frame_end = 1, 48
    add_camera(scene, (0, -2.4, 1.4), (0, 0, 1.35), 60)
    on_bone = add_person(scene, 4, (-0.35, 0, 1.4), 0, (0.1, 0.12, 0.1))
    on_track = add_person(scene, 23, (0.35, 0, 1.4), 0, (0.12, 0.1, 0.14))
    bones = bpy.data.armatures.new("Spine")
    spine = bpy.data.objects.new("Spine", bones)
    scene.collection.objects.link(spine)
    spine.location = (-0.35, 0.03, 1.2)
    context: Any = bpy.context
    context.view_layer.objects.active = spine
    bpy.ops.object.mode_set(mode="EDIT")
    bone = bones.edit_bones.new("Head")
    bone.head, bone.tail = (0, 0, 0), (0, 0, 0.3)
    bpy.ops.object.mode_set(mode="OBJECT")
    _carry(on_bone, spine, "Head")
    pose: Any = spine.pose
    nod = pose.bones["Head"]
    nod.rotation_mode = "XYZ"
    for frame, (x, y) in ((1, (0, -20)), (16, (12, 0)), (32, (-8, 20)), (48, (0, -20))):
        nod.rotation_euler = (math.radians(x), math.radians(y), 0)  # a bone's own axis is Y
        nod.keyframe_insert("rotation_euler", frame=frame)
    track = bpy.data.objects.new("Tracked Head", None)
    scene.collection.objects.link(track)
    track.location = on_track.location
    _carry(on_track, track, "")
    for frame in range(1, 49):  # what a solved object track gives: a key in every frame
        t = 2 * math.pi * (frame - 1) / 47
        track.location = (0.35 + 0.04 * math.sin(t), 0.05 * math.cos(t), 1.4 + 0.01 * math.sin(3 * t))
        track.rotation_euler = (0.06 * math.sin(2 * t), 0.05 * math.sin(t), 0.4 * math.sin(t))
        track.keyframe_insert("location", frame=frame)
        track.keyframe_insert("rotation_euler", frame=frame)
    scene.frame_set(1)
    add_light(scene, "Key", (-1, -1.5, 2.4), (0, 0, 1.3), 50, 0.8)
    return scene


def _carry(proxy: bpy.types.Object, carrier: bpy.types.Object, bone: str) -> None:
    """Makes the head a child of ``carrier``, or of one of its bones, where it stands."""
    layer: Any = bpy.context.view_layer
    layer.update()
    stood = proxy.matrix_world.copy()
    proxy.parent = carrier
    if bone:
        proxy.parent_type, proxy.parent_bone = "BONE", bone
    layer.update()
    proxy.matrix_world = stood


STILLS: dict[str, Callable[[], bpy.types.Scene]] = {"portrait": portrait, "room": room, "interview": interview}


def build_all(out: Path) -> None:
    """Writes the scenes into ``out``, and a still of each but ``carried``."""
    out.mkdir(parents=True, exist_ok=True)
    for name, build in {**STILLS, "carried": carried}.items():
        scene = build()
        bpy.ops.wm.save_as_mainfile(filepath=str(out / f"{name}.blend"))
        if name in STILLS:
            scene.render.filepath = str(out / f"{name}.png")
            bpy.ops.render.render(write_still=True)
