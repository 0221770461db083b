# SPDX-License-Identifier: GPL-3.0-or-later
"""Lit: the picture without its own light, lit by the scene. Its maps, and its nodes in the materials of a face.

    Picture ─────────────── Emission ──────────────┐
    Picture ÷ Light ─────── Diffuse (Without Light) ─ Lit ── what was behind Emission
    Normal ── Normal Map ─────┘

*Lit* mixes both: 0 is as painted, 1 lit by the scene. That input is the slider, which lives in the material as every
node's values do: it is keyed there, and renders where there is no add-on.
"""

from __future__ import annotations

from typing import Any

import bpy

from effigy_client.pixels import BRIGHTEST, Maps

from . import sharpen
from .properties import EffigyFace
from .sharpen import PICTURE

EMISSION = "Emission"  # the node that shows it as it was painted
MIX = "Lit"
NORMAL, LIGHT = "Normal", "Light"  # the texture nodes of the maps
_MAPS = {NORMAL: (0.5, 0.5, 1.0), LIGHT: (1 / BRIGHTEST,) * 3}  # to the viewer; light from everywhere


def fit(face: EffigyFace, name: str, materials: list[Any], worn: list[Any]) -> None:
    """Makes ``materials`` show the face ``name`` lit by the scene, or as painted; calling it again changes nothing.

    ``face.lit`` chooses. The first material has the slider. Materials in ``worn`` are on the proxy, and are lit in the
    orientation of its mesh. A bake without maps is shown as painted.
    """
    shown = face.lit and (face.source != "BAKED" or None not in (face.baked_normal, face.baked_light))
    if shown:
        _make_maps(face, name)
    for material in materials:
        if material.library is not None:
            continue
        nodes = material.node_tree.nodes
        if shown and MIX not in nodes and emission_of(nodes) is not None:
            _put_in(material, mapped=material not in worn)
            sharpen.follow(nodes[MIX].inputs[0], materials, MIX)
        if MIX in nodes and nodes[MIX].mute == shown:
            nodes[MIX].mute = not shown  # which leaves Emission alone in what is rendered


def emission_of(nodes: Any) -> Any:
    """Returns the node that shows the picture as it was painted, or None where an artist removed it.

    Earlier versions of Effigy left its name to Blender, which has one in each language.
    """
    named = nodes.get(EMISSION)
    if named is not None:
        return named
    every = (node for node in nodes if node.bl_idname == "ShaderNodeEmission")
    picture = sharpen.shown(nodes)
    return next((n for n in every if any(each.from_node == picture for each in n.inputs["Color"].links)), None)


def map_nodes(material: Any) -> dict[str, Any]:
    """Returns the texture nodes NORMAL and LIGHT, as far as the material has them."""
    nodes = material.node_tree.nodes
    return {name: nodes[name] for name in _MAPS if MIX in nodes and name in nodes}


def slider_of(materials: list[Any]) -> Any:
    """Returns the input that sets how much the scene lights a face, in the first material that has one, or None."""
    trees = (material.node_tree for material in materials)
    return next((tree.nodes[MIX].inputs[0] for tree in trees if MIX in tree.nodes), None)


def write(face: EffigyFace, maps: Maps) -> None:
    """Writes the maps for relighting the picture that is shown, whose size they have."""
    size = tuple(face.image.size)
    for image, pixels in zip((face.normal_map, face.light_map), maps, strict=True):
        if image is None:  # a map that was removed comes back when Lit is switched
            continue
        if tuple(image.size) != size:
            image.scale(*size)
        image.pixels.foreach_set(pixels)
        image.update()
        image.update_tag()  # see plate.show


def _make_maps(face: EffigyFace, name: str) -> None:
    face.normal_map = face.normal_map or _new_map(f"{name} {NORMAL}", _MAPS[NORMAL])
    face.light_map = face.light_map or _new_map(f"{name} {LIGHT}", _MAPS[LIGHT])


def _new_map(name: str, value: tuple[float, ...]) -> bpy.types.Image:
    image: Any = bpy.data.images.new(name, 1, 1, alpha=False, float_buffer=True, is_data=True)
    image.pixels.foreach_set((*value, 1.0))
    return image


def _put_in(material: Any, *, mapped: bool) -> None:
    """Inserts the nodes behind Emission, with the slider at 1: lit by the scene."""
    tree = material.node_tree
    nodes, link = tree.nodes, tree.links.new
    picture, emission = nodes[PICTURE], emission_of(nodes)
    kinds = ("TexImage", "VectorMath", "VectorMath", "BsdfDiffuse", "MixShader")
    light, divide, scale, diffuse, mix = (nodes.new(f"ShaderNode{kind}") for kind in kinds)
    light.name, mix.name, diffuse.label = LIGHT, MIX, "Without Light"
    divide.operation, scale.operation = "DIVIDE", "SCALE"
    scale.inputs["Scale"].default_value = 1 / BRIGHTEST
    mix.inputs[0].default_value = 1.0
    if hasattr(material, "cycles"):  # which would darken what lights a plate from more than 60° to the side
        material.cycles.use_bump_map_correction = False
    for following in [each.to_socket for each in emission.outputs[0].links]:
        link(mix.outputs[0], following)
    for start, end in (
        (sharpen.shown(nodes).outputs["Color"], divide.inputs[0]),
        (light.outputs["Color"], divide.inputs[1]),
        (divide.outputs[0], scale.inputs[0]),
        (scale.outputs[0], diffuse.inputs["Color"]),
        (emission.outputs[0], mix.inputs[1]),
        (diffuse.outputs[0], mix.inputs[2]),
    ):
        link(start, end)
    textures = [light]
    if mapped:
        normal, turn = nodes.new("ShaderNodeTexImage"), nodes.new("ShaderNodeNormalMap")
        normal.name, turn.space = NORMAL, "OBJECT"  # the plate has the axes of the picture's camera
        link(normal.outputs["Color"], turn.inputs["Color"])
        link(turn.outputs[0], diffuse.inputs["Normal"])
        textures.append(normal)
        normal.location, turn.location = (-300, -560), (0, -420)
    for texture in textures:
        texture.interpolation, texture.extension = "Linear", "EXTEND"
        for each in picture.inputs["Vector"].links:
            link(each.from_socket, texture.inputs["Vector"])
    x, y = emission.location
    for other in nodes:
        if other.location.x > x and other not in (diffuse, mix):
            other.location.x += 200
    light.location, divide.location, scale.location = (x - 300, y - 280), (x, y - 140), (x, y - 280)
    diffuse.location, mix.location = (x + 200, y - 140), (x + 200, y)
