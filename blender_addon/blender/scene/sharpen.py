# SPDX-License-Identifier: GPL-3.0-or-later
"""Sharpen: the picture enlarged smoothly, and sharpened within its own detail. Its nodes in the materials of a face.

    Picture ────────────────┐
    Left, Right, Below, Above ─ Sharpen ── what was behind Picture

All five show the picture by cubic interpolation, the four a pixel of the picture beside. Sharpen is an unsharp mask
whose radius is that pixel: it can show only what the generator painted. A result stays within the range of the five
and a quarter of it beyond, so that no edge has a halo. Its slider lives in the material, as Lit's does. The picture
itself keeps its bytes: previews, bakes and renders show the same ones through the same nodes.
"""

from __future__ import annotations

from typing import Any

import bpy

from .properties import EffigyFace

PICTURE = "Picture"  # the texture node of every material that shows a face's picture
SHARPEN = "Sharpen"
BESIDE = {"Left": (-1, 0), "Right": (1, 0), "Below": (0, -1), "Above": (0, 1)}  # pixels of the picture
_GROUP = "Effigy Sharpen"
_MARK = "effigy_sharpen"  # on the node group that is ours
_AMOUNT = 0.5  # of the unsharp mask: twice the picture's own detail of one pixel
_BEYOND = 0.25  # of the range that the five show. Interpolation has narrowed it: the pixels themselves reach so far
_ROUNDED = 1e-7  # far less than a pixel's share of any picture
_EVEN = 0.5  # exponent: sharpened in linear light, dark sides of edges would turn black


def shown(nodes: Any) -> Any:
    """Returns the node whose *Color* and *Alpha* are the picture as it is shown."""
    return nodes[SHARPEN if SHARPEN in nodes else PICTURE]


def beside(material: Any) -> list[Any]:
    """Returns the material's further texture nodes that show the picture."""
    nodes = material.node_tree.nodes
    return [nodes[name] for name in BESIDE if SHARPEN in nodes and name in nodes]


def fit(face: EffigyFace, materials: list[Any]) -> None:
    """Makes ``materials`` show the picture sharpened, or as painted, as ``face.sharpen`` says; calling it again changes
    nothing.

    The slider of the first material that can have one drives the others'.
    """
    for material in materials:
        if material.library is not None:
            continue
        nodes = material.node_tree.nodes
        if face.sharpen and SHARPEN not in nodes:
            _put_in(material)
            follow(nodes[SHARPEN].inputs["Sharpness"], materials, SHARPEN)
        if SHARPEN in nodes and nodes[SHARPEN].mute == face.sharpen:
            nodes[SHARPEN].mute = not face.sharpen
            for texture in [nodes[PICTURE], *beside(material)]:
                texture.interpolation = "Cubic" if face.sharpen else "Linear"
        _measure(face, material)


def slider_of(materials: list[Any]) -> Any:
    """Returns the input that sets how much a face is sharpened, in the first material that has one, or None."""
    trees = (material.node_tree for material in materials)
    return next((tree.nodes[SHARPEN].inputs["Sharpness"] for tree in trees if SHARPEN in tree.nodes), None)


def follow(slider: Any, materials: list[Any], node: str) -> None:
    """Drives a slider by its namesake in the first of ``materials`` that has ``node``, unless it is that one's.

    The first of all may be linked from a library where the node is missing.
    """
    material = next(each for each in materials if node in each.node_tree.nodes)
    if material.node_tree == slider.id_data:
        return
    curve = slider.driver_add("default_value")
    curve.driver.type = "AVERAGE"  # of one: a scripted driver would need the user's permission to run
    target = curve.driver.variables.new().targets[0]
    target.id_type, target.id = "MATERIAL", material
    place = [each.name for each in material.node_tree.nodes[node].inputs].index(slider.name)
    target.data_path = f'node_tree.nodes["{node}"].inputs[{place}].default_value'


def _measure(face: EffigyFace, material: Any) -> None:
    """Lets the four look as far beside as a pixel of the present picture is wide."""
    if face.image is None or 0 in face.image.size:
        return
    width, height = face.image.size
    for texture in beside(material):
        across, up = BESIDE[texture.name]
        wanted = (across / width, up / height, 0.0)
        for link in texture.inputs["Vector"].links:
            if link.from_node.bl_idname != "ShaderNodeVectorMath":  # an artist's own
                continue
            step = link.from_node.inputs[1]
            if any(abs(a - b) > _ROUNDED for a, b in zip(step.default_value, wanted, strict=True)):
                step.default_value = wanted


def _put_in(material: Any) -> None:
    """Inserts the nodes behind Picture, muted."""
    tree = material.node_tree
    nodes, link = tree.nodes, tree.links.new
    picture = nodes[PICTURE]
    sharpen = nodes.new("ShaderNodeGroup")
    sharpen.name, sharpen.node_tree, sharpen.mute = SHARPEN, _group(), True
    for name in ("Color", "Alpha"):
        for following in [each.to_socket for each in picture.outputs[name].links]:
            link(sharpen.outputs[name], following)
        link(picture.outputs[name], sharpen.inputs[name])
    given = [each.from_socket for each in picture.inputs["Vector"].links]
    if not given:
        coordinates = nodes.new("ShaderNodeTexCoord")
        coordinates.location = (picture.location.x - 600, picture.location.y)
        given = [coordinates.outputs["UV"]]
    for row, name in enumerate(BESIDE):
        step, texture = nodes.new("ShaderNodeVectorMath"), nodes.new("ShaderNodeTexImage")
        texture.name = texture.label = name
        texture.image, texture.extension = picture.image, picture.extension
        texture.hide = step.hide = True
        link(given[0], step.inputs[0])
        link(step.outputs[0], texture.inputs["Vector"])
        for output in ("Color", "Alpha"):
            link(texture.outputs[output], sharpen.inputs[f"{output} {name}"])
        x, y = picture.location
        step.location, texture.location = (x - 300, y + 60 + 40 * row), (x - 50, y + 60 + 40 * row)
    for other in nodes:
        if other.location.x > picture.location.x and other != sharpen and other.name not in BESIDE:
            other.location.x += 250
    sharpen.location = (picture.location.x + 280, picture.location.y)
    nodes.active = picture  # whose image solid viewports show


def _group() -> Any:
    """Returns the node group that sharpens, which all faces share."""
    groups: Any = bpy.data.node_groups
    for group in groups:
        if _MARK in group and group.library is None:
            return group
    tree: Any = groups.new(_GROUP, "ShaderNodeTree")
    tree[_MARK] = ""
    face = tree.interface
    for name in ("", *BESIDE):
        face.new_socket(f"Color {name}".strip(), in_out="INPUT", socket_type="NodeSocketColor")
        face.new_socket(f"Alpha {name}".strip(), in_out="INPUT", socket_type="NodeSocketFloat")
    amount = face.new_socket("Sharpness", in_out="INPUT", socket_type="NodeSocketFloat")
    amount.subtype, amount.default_value, amount.min_value, amount.max_value = "FACTOR", _AMOUNT, 0.0, 1.0
    face.new_socket("Color", in_out="OUTPUT", socket_type="NodeSocketColor")
    face.new_socket("Alpha", in_out="OUTPUT", socket_type="NodeSocketFloat")
    given, result = tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")

    def math(operation: str, *values: Any) -> Any:
        """A node of vector mathematics; numbers count for all three components."""
        node = tree.nodes.new("ShaderNodeVectorMath")
        node.operation = operation
        for place, value in enumerate(values):
            if isinstance(value, float):
                node.inputs[place].default_value = (value,) * 3
            else:
                tree.links.new(value, node.inputs[place])
        return node.outputs[0]

    def power(value: Any, exponent: float) -> Any:
        node = tree.nodes.new("ShaderNodeGamma")
        node.inputs[1].default_value = exponent
        tree.links.new(value, node.inputs[0])
        return node.outputs[0]

    def sharpened(centre: Any, around: list[Any]) -> Any:
        low = high = centre
        total: Any = None
        for each in around:
            low, high = math("MINIMUM", low, each), math("MAXIMUM", high, each)
            total = each if total is None else math("ADD", total, each)
        detail = math("SUBTRACT", math("MULTIPLY", centre, 4.0), total)
        sharp = math("MULTIPLY_ADD", detail, given.outputs["Sharpness"], centre)
        wide = math("SUBTRACT", high, low)
        sharp = math("MAXIMUM", sharp, math("MULTIPLY_ADD", wide, -_BEYOND, low))
        sharp = math("MINIMUM", sharp, math("MULTIPLY_ADD", wide, _BEYOND, high))
        return math("MINIMUM", math("MAXIMUM", sharp, 0.0), 1.0)

    centre = power(given.outputs["Color"], _EVEN)
    # Beyond the head's edge there is no colour to compare with: as far as a neighbour is clear, the centre stands in.
    around = [
        math(
            "MULTIPLY_ADD",
            math("SUBTRACT", power(given.outputs[f"Color {name}"], _EVEN), centre),
            given.outputs[f"Alpha {name}"],
            centre,
        )
        for name in BESIDE
    ]
    tree.links.new(power(sharpened(centre, around), 1 / _EVEN), result.inputs["Color"])
    opacity = sharpened(given.outputs["Alpha"], [given.outputs[f"Alpha {name}"] for name in BESIDE])
    tree.links.new(opacity, result.inputs["Alpha"])
    for column, node in enumerate(tree.nodes):
        node.location = (160 * (column % 12), -200 * (column // 12))
    return tree
