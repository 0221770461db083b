# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture on the proxy mesh itself: a material, and texture coordinates that follow the plate.

The plate always faces the camera and the generator's camera is a weak-perspective one, so a point's coordinates are
its place on the plate, whose middle is 0 and whose edges are ±0.5. A modifier finds them: solid viewports and
Workbench show a mesh's texture coordinates and no others.
"""

from __future__ import annotations

from typing import Any

import bpy

from . import own_modifiers

NAME = "Effigy Projection"  # of the modifier and the texture coordinates
_MARK = "effigy_projection"  # on what is ours; a material's says which coordinates were active before


def put_on(proxy: bpy.types.Object, plate: bpy.types.Object, material: bpy.types.Material) -> None:
    """Gives ``proxy`` the ``material``, whose texture node has no coordinates of its own yet."""
    take_off(proxy)
    layers: Any = proxy.data.uv_layers
    material[_MARK] = layers.active.name if layers.active is not None else ""
    tree = material.node_tree
    coordinates = tree.nodes.new("ShaderNodeUVMap")
    coordinates.uv_map, coordinates.location = NAME, (-500, 0)
    texture = next(node for node in tree.nodes if node.bl_idname == "ShaderNodeTexImage")
    tree.links.new(coordinates.outputs["UV"], texture.inputs["Vector"])
    layers.new(name=NAME)
    _activate(layers, NAME)
    modifier: Any = proxy.modifiers.new(NAME, "NODES")
    modifier.show_in_editmode = modifier.show_on_cage = True
    modifier.node_group = _coordinates_on(plate)
    proxy.data.materials.append(material)


def is_on(proxy: bpy.types.Object) -> bool:
    return bool(own_modifiers.marked(proxy, _MARK)) and bool(_worn(proxy.data.materials))


def take_off(proxy: bpy.types.Object) -> bool:
    """Removes the projection, or what is left of it, from the proxy; returns whether there was any."""
    layers, materials = proxy.data.uv_layers, proxy.data.materials
    was_modified = own_modifiers.remove(proxy, _MARK)
    layer, before = layers.get(NAME), ""
    if layer is not None:
        layers.remove(layer)
    worn = _worn(materials)
    for index in reversed(worn):
        material = materials.pop(index=index)
        before = str(material[_MARK])
        if material.users == 0:
            bpy.data.materials.remove(material)
    if before in layers:
        _activate(layers, before)
    if worn and not materials:
        materials.clear()  # objects keep a slot whose material was popped, but none of a mesh that has none
    return bool(was_modified or layer is not None or worn)


def _activate(layers: Any, name: str) -> None:
    layers.active = layers[name]
    layers[name].active_render = True


def _worn(materials: Any) -> list[int]:
    """Returns the material slots of the projection's own materials."""
    return [index for index, material in enumerate(materials) if material is not None and _MARK in material]


def _coordinates_on(plate: bpy.types.Object) -> Any:
    """Builds nodes that write where on ``plate`` a point is.

    They name the plate themselves: how a modifier is given one differs between Blender's versions.
    """
    group = own_modifiers.new_group(f"{plate.name} Projection", _MARK)
    given, place, inverse, position, local, middle, store, result = nodes = [
        group.nodes.new(kind)
        for kind in (
            "NodeGroupInput",
            "GeometryNodeObjectInfo",
            "FunctionNodeInvertMatrix",
            "GeometryNodeInputPosition",
            "FunctionNodeTransformPoint",
            "ShaderNodeVectorMath",
            "GeometryNodeStoreNamedAttribute",
            "NodeGroupOutput",
        )
    ]
    place.transform_space = "RELATIVE"
    place.inputs["Object"].default_value = plate
    middle.inputs[1].default_value = (0.5, 0.5, 0.0)
    store.data_type, store.domain = "FLOAT2", "CORNER"
    store.inputs["Name"].default_value = NAME
    for start, end in (
        (place.outputs["Transform"], inverse.inputs[0]),
        (position.outputs[0], local.inputs["Vector"]),
        (inverse.outputs[0], local.inputs["Transform"]),
        (local.outputs[0], middle.inputs[0]),
        (middle.outputs[0], store.inputs["Value"]),
        (given.outputs["Geometry"], store.inputs["Geometry"]),
        (store.outputs["Geometry"], result.inputs["Geometry"]),
    ):
        group.links.new(start, end)
    for column, node in enumerate(nodes):
        node.location = (200 * column, 0)
    return group
