# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenes are made of: people with shoulders, light, furniture. Lengths in metres."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import bpy
from mathutils import Matrix, Vector

Colour = tuple[float, float, float]
_SIDES = 40  # of what is turned on a lathe
# A jumper: radius and height from the head's middle, from within its high collar to below what cameras see.
_JUMPER = (
    *((0.070, -0.176), (0.070, -0.150), (0.071, -0.132), (0.077, -0.127), (0.083, -0.132), (0.089, -0.141)),
    *((0.100, -0.149), (0.118, -0.158), (0.140, -0.168), (0.166, -0.181), (0.192, -0.201), (0.212, -0.238)),
    *((0.223, -0.300), (0.228, -0.400), (0.230, -0.560), (0.230, -0.800)),
)
_COLLAR = (-0.157, -0.143)  # heights between which it becomes shoulders
_RIBS = 72  # of knitted wool, around a body
_NECK, _DEEP = 0.1, 0.6  # beyond this radius a body is less deep than wide
_BEHIND = 0.015  # from a head's middle back to its neck's


def empty_scene(size: tuple[int, int], samples: int) -> bpy.types.Scene:
    """A new file that renders with Cycles, without a world's light."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    scene: Any = bpy.context.scene
    scene.render.engine, scene.cycles.samples = "CYCLES", samples
    scene.cycles.caustics_reflective = scene.cycles.caustics_refractive = False  # which need far more samples
    scene.render.resolution_x, scene.render.resolution_y = size
    scene.render.image_settings.file_format = "PNG"
    scene.view_settings.view_transform = "Standard"  # which leaves faces as they are painted
    scene.world = bpy.data.worlds.new("Room Light")
    if bpy.app.version < (5, 0, 0):
        scene.world.use_nodes = True
    node_of(scene.world, "Background").inputs["Color"].default_value = (0.03, 0.035, 0.045, 1.0)
    return scene


def add_camera(scene: bpy.types.Scene, place: Sequence[float], goal: Sequence[float], lens: float) -> bpy.types.Object:
    """The scene's camera, at ``place``, looking at ``goal``."""
    data = bpy.data.cameras.new("Camera")
    data.lens = lens
    camera = _link(scene, bpy.data.objects.new("Camera", data))
    camera.matrix_world = looking(place, goal)
    scene.camera = camera
    return camera


def add_light(
    scene: bpy.types.Scene,
    name: str,
    place: Sequence[float],
    goal: Sequence[float],
    watts: float,
    size: float,
    colour: Colour = (1, 1, 1),
) -> None:
    """A square that shines from ``place`` on ``goal``."""
    data: Any = bpy.data.lights.new(name, "AREA")
    data.energy, data.size, data.color = watts, size, colour
    _link(scene, bpy.data.objects.new(name, data)).matrix_world = looking(place, goal)


def add_person(
    scene: bpy.types.Scene, seed: int, place: Sequence[float], turn: float, cloth: Colour, **controls: float
) -> Any:
    """A head at ``place`` that is turned by ``turn`` degrees about its upright axis, on the shoulders of a jumper.

    Returns its proxy.
    """
    scene.cursor.location = place
    add_face: Any = getattr(bpy.ops, "effigy").add_face  # noqa: B009 which the add-on adds
    if add_face(seed=seed) != {"FINISHED"}:
        raise RuntimeError("the face cannot be added")
    proxy: Any = bpy.context.active_object
    proxy.matrix_world = Matrix.LocRotScale(Vector(place), Matrix.Rotation(math.radians(turn), 3, "Z"), proxy.scale)
    for name, value in controls.items():
        proxy.data.shape_keys.key_blocks[name].value = value
    body = turned(scene, f"{proxy.name} Jumper", _JUMPER, wool(cloth), deep=_DEEP)
    neck = Vector(place) + Matrix.Rotation(math.radians(turn), 3, "Z") @ Vector((0, _BEHIND, 0))
    body.matrix_world = Matrix.LocRotScale(neck, Matrix.Rotation(math.radians(turn / 2), 3, "Z"), None)
    return proxy


def turned(
    scene: bpy.types.Scene,
    name: str,
    profile: Sequence[tuple[float, float]],
    material: bpy.types.Material,
    deep: float = 1.0,
) -> bpy.types.Object:
    """What a lathe makes of a ``profile`` of radii and heights; what is wider than a neck is ``deep`` times as deep."""
    points, quads = [], []
    for radius, height in profile:
        share = min(max((radius - _NECK) / _NECK, 0.0), 1.0)
        for side in range(_SIDES):
            angle = 2 * math.pi * side / _SIDES
            depth = radius * (1 + (deep - 1) * share)
            points.append((radius * math.cos(angle), depth * math.sin(angle), height))
    for ring in range(len(profile) - 1):
        for side in range(_SIDES):
            a, b = ring * _SIDES + side, ring * _SIDES + (side + 1) % _SIDES
            quads.append((a, a + _SIDES, b + _SIDES, b))
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(points, [], quads)
    mesh.polygons.foreach_set("use_smooth", [True] * len(mesh.polygons))
    around = mesh.uv_layers.new(name="Around")  # u once around, v in metres upwards
    for quad in range(len(quads)):
        ring, side = divmod(quad, _SIDES)
        for corner, (right, down) in enumerate(((0, 0), (0, 1), (1, 1), (1, 0))):
            around.data[4 * quad + corner].uv = ((side + right) / _SIDES, profile[ring + down][1])
    mesh.materials.append(material)
    obj = _link(scene, bpy.data.objects.new(name, mesh))
    smooth: Any = obj.modifiers.new("Smooth", "SUBSURF")
    smooth.levels = smooth.render_levels = 2
    return obj


def add_box(
    scene: bpy.types.Scene, name: str, place: Sequence[float], size: Sequence[float], material: bpy.types.Material
) -> Any:
    """A box of ``size`` about ``place``, with edges a little round."""
    bpy.ops.mesh.primitive_cube_add(size=1.0, location=place)
    obj: Any = bpy.context.active_object
    obj.name, obj.scale = name, size
    bpy.ops.object.transform_apply(location=False, rotation=False)
    obj.data.materials.append(material)
    edge = obj.modifiers.new("Edge", "BEVEL")
    edge.width, edge.segments = min(0.006, min(size) / 4), 2
    return obj


def add_ball(
    scene: bpy.types.Scene, name: str, place: Sequence[float] | Vector, radius: float, material: bpy.types.Material
) -> Any:
    bpy.ops.mesh.primitive_uv_sphere_add(segments=32, ring_count=16, radius=radius, location=place)
    obj: Any = bpy.context.active_object
    obj.name = name
    bpy.ops.object.shade_smooth()
    obj.data.materials.append(material)
    return obj


def wool(colour: Colour) -> Any:
    """Wool for what is ``turned``: ribs along its UV map, down to where the collar ends."""
    material = paint("Wool", colour, 0.95)
    tree, surface = material.node_tree, node_of(material, "BsdfPrincipled")
    kinds = ("UVMap", "TexWave", "Bump", "SeparateXYZ", "MapRange")
    place, ribs, bump, parts, height = (tree.nodes.new(f"ShaderNode{kind}") for kind in kinds)
    ribs.inputs["Scale"].default_value = math.pi * _RIBS / 10  # whose wave is sin(20 · scale · u)
    ribs.inputs["Distortion"].default_value, ribs.inputs["Detail"].default_value = 0.6, 1.0
    bump.inputs["Distance"].default_value = 0.004
    for name, value in zip(("From Min", "From Max", "To Min", "To Max"), (*_COLLAR, 0.04, 0.5), strict=True):
        height.inputs[name].default_value = value
    for start, end in (
        (place.outputs["UV"], ribs.inputs["Vector"]),
        (place.outputs["UV"], parts.inputs[0]),
        (parts.outputs["Y"], height.inputs["Value"]),
        (height.outputs[0], bump.inputs["Strength"]),
        (ribs.outputs["Fac" if "Fac" in ribs.outputs else "Factor"], bump.inputs["Height"]),
        (bump.outputs["Normal"], surface.inputs["Normal"]),
    ):
        tree.links.new(start, end)
    surface.inputs["Sheen Weight"].default_value = 0.25
    return material


def paint(name: str, colour: Colour, roughness: float = 0.5, metal: float = 0.0, shine: float = 0.0) -> Any:
    material: Any = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    surface = node_of(material, "BsdfPrincipled").inputs
    surface["Base Color"].default_value = (*colour, 1.0)
    surface["Roughness"].default_value, surface["Metallic"].default_value = roughness, metal
    if shine:
        surface["Emission Color"].default_value = (*colour, 1.0)
        surface["Emission Strength"].default_value = shine
    return material


def node_of(painted: Any, kind: str) -> Any:
    """The node of a ``kind`` in a new material or world. Blender names it in the user's language."""
    return next(node for node in painted.node_tree.nodes if node.bl_idname == f"ShaderNode{kind}")


def looking(place: Sequence[float], goal: Sequence[float]) -> Matrix:
    """Where a camera or light stands that looks from ``place`` at ``goal``."""
    way = Vector(goal) - Vector(place)
    return Matrix.LocRotScale(Vector(place), way.to_track_quat("-Z", "Y"), None)


def _link(scene: bpy.types.Scene, obj: bpy.types.Object) -> bpy.types.Object:
    scene.collection.objects.link(obj)
    return obj
