# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a face's picture is seen: on its plate, on that behind the head, or on the proxy mesh itself."""

from __future__ import annotations

from typing import Any, cast

import bpy
import numpy as np

from . import backdrop, controls, lit, projection, relief, sharpen
from .properties import EffigyFace, face_of, on_display
from .sharpen import PICTURE
from .viewing import viewpoint

_WITH_ALPHA = (32, 128)  # bits of a pixel


def show_picture(proxy: bpy.types.Object) -> None:
    """Sets the scene up for the face's ``display``; calling it again changes nothing."""
    face = face_of(proxy)
    projected = face.display == "PROJECTED"
    if face.display != "BACKGROUND":
        backdrop.take_off(face)
    if face.display != "PLATE" or not face.relief:
        relief.take_off(face)
    cut_out(proxy)
    _project(proxy, face, shown=projected)
    show_source(proxy)
    if face.plate is not None and bpy.context.scene is not None:
        follow(proxy, bpy.context.scene)


def follow(proxy: bpy.types.Object, scene: bpy.types.Scene) -> None:
    """Keeps a picture that is drawn behind the head, or bent to it, where the scene's camera sees it in its place."""
    face, camera = face_of(proxy), controls.camera_of(proxy, scene)
    if camera is None or face.plate is None or face.plate.library is not None:
        return
    # With Follow View the viewport itself is the eye: no ray of the camera counts, and the plate is moved straight.
    eye = camera if camera.data.type == "PERSP" and not viewpoint.counts else None
    if face.display == "PLATE" and face.relief:
        relief.put_on(face, proxy, eye)
    if face.display != "BACKGROUND":
        return
    if not backdrop.is_on(face):
        backdrop.take_off_cameras(face)  # in a file of an earlier version, which hid the plate
        _hide_plate(face, hidden=False)
    backdrop.put_behind(face, eye)


def _hide_plate(face: EffigyFace, *, hidden: bool) -> None:
    plate = face.plate
    # Asked first, as it makes Blender list a plate that was put into the scene just now.
    if plate is not None and plate.hide_get() != hidden and plate.name in bpy.context.view_layer.objects:
        plate.hide_set(hidden)


def renew(proxy: bpy.types.Object) -> None:
    """Gives a duplicate materials for its own picture instead of its original's."""
    face = face_of(proxy)
    if projection.take_off(proxy):
        _wear(proxy, face)  # the mesh stays as visible as its original is
    backdrop.take_off(face)
    relief.take_off(face)
    show_picture(proxy)


def show_source(proxy: bpy.types.Object) -> None:
    """Points all that shows the face's picture, and what lights it, at the live ones or at the baked sequences."""
    face = face_of(proxy)
    sharpen.fit(face, materials_of(proxy))
    lit.fit(face, proxy.name, materials_of(proxy), list(proxy.data.materials))
    baked = face.source == "BAKED" and face.baked is not None
    for material in materials_of(proxy):
        nodes = {PICTURE: material.node_tree.nodes[PICTURE], **lit.map_nodes(material)}
        live = {PICTURE: face.image, lit.NORMAL: face.normal_map, lit.LIGHT: face.light_map}
        kept = {PICTURE: face.baked, lit.NORMAL: face.baked_normal, lit.LIGHT: face.baked_light}
        for name, node in [*nodes.items(), *((PICTURE, texture) for texture in sharpen.beside(material))]:
            image = (kept if baked else live)[name]
            if node.image != image:
                node.image = image
            if baked:
                _play(node.image_user, face)
    if proxy.library is None:
        proxy.update_tag()  # Blender does not see that a script has pointed a face at other data-blocks


def _play(user: Any, face: EffigyFace) -> None:
    """Makes a texture show the files of a bake."""
    user.frame_start = face.baked_start
    user.frame_duration = face.baked_end - face.baked_start + 1
    user.frame_offset = face.baked_start - 1  # the files carry the scene's own frame numbers
    user.use_auto_refresh = True


def _project(proxy: bpy.types.Object, face: EffigyFace, *, shown: bool) -> None:
    """Lets the proxy wear the picture, or not. Who is seen is set where that changes, and the artist's from then on."""
    plate = face.plate
    if shown:
        if not projection.is_on(proxy) and _wear(proxy, face):
            proxy.visible_camera, proxy.visible_shadow = face.worn_visibility
            proxy.display_type, proxy.hide_render = "TEXTURED", False
        return
    if projection.take_off(proxy):
        face.worn_visibility = proxy.visible_camera, proxy.visible_shadow
        proxy.display_type, proxy.hide_render = "WIRE", True
        proxy.visible_camera = proxy.visible_shadow = False
        if plate is not None:
            plate.hide_render = False
            _hide_plate(face, hidden=False)
    # EEVEE draws as a solid in viewports what is displayed as wires and hidden from renders.
    elif proxy.library is None and proxy.visible_camera:  # in a file of an earlier version
        proxy.visible_camera = proxy.visible_shadow = False


def _wear(proxy: bpy.types.Object, face: EffigyFace) -> bool:
    """Puts the face's picture on its proxy, and hides its plate, whose place it follows.

    Returns whether there is a picture, and a plate.
    """
    if face.image is None or face.plate is None:
        return False
    material = new_emission(f"{proxy.name} Projection", face.image, clear=face.matte == "HEAD")
    projection.put_on(proxy, face.plate, material)
    face.plate.hide_render = True
    _hide_plate(face, hidden=True)
    return True


def new_emission(name: str, image: bpy.types.Image, *, clear: bool) -> bpy.types.Material:
    """Makes an emission material, which scene lights and shadows do not change; ``clear`` makes it use alpha.

    An image's alpha mode stays Straight: of those that leave its bytes alone it is the one that solid viewports obey.
    """
    material = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0, 0):  # from 5.0 on every material has nodes
        material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.name = PICTURE
    texture.image = image
    texture.interpolation = "Linear"  # Exact Pixels sets "Closest": a pixel of the picture then stays a pixel
    texture.extension = "EXTEND"
    emission = tree.nodes.new("ShaderNodeEmission")
    emission.name = lit.EMISSION
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    texture.location, emission.location, output.location = (-300, 0), (0, 0), (200, 0)
    tree.links.new(texture.outputs["Color"], emission.inputs["Color"])
    tree.links.new(emission.outputs["Emission"], output.inputs["Surface"])
    if clear:
        _mix_in_clear(material)
    return material


def cut_out(proxy: bpy.types.Object) -> None:
    """Gives the picture of a face with a matte an alpha channel, and makes what shows it transparent there.

    Nodes of an artist's own are left alone; what has an alpha keeps it, since without a matte it is 1 everywhere.
    """
    face, image = face_of(proxy), cast(Any, face_of(proxy).image)
    if face.matte != "HEAD" or image is None or image.library is not None or _has_alpha(image):
        return
    (width, height), name = image.size, image.name
    fresh: Any = bpy.data.images.new(name, width, height, alpha=True, float_buffer=False)
    pixels = np.empty(4 * width * height, np.float32)
    image.pixels.foreach_get(pixels)
    fresh.pixels.foreach_set(pixels)
    fresh.effigy_mesh = image.effigy_mesh
    image.user_remap(fresh)
    bpy.data.images.remove(image)
    fresh.name = name
    for material in materials_of(proxy):
        tree: Any = material.node_tree
        output, ours = _output(tree), (lit.emission_of(tree.nodes), tree.nodes.get(lit.MIX))
        links = output.inputs["Surface"].links if output is not None else ()
        if any(link.from_node in ours for link in links):
            _mix_in_clear(material)


def _has_alpha(image: bpy.types.Image) -> bool:
    return image.depth in _WITH_ALPHA


def _mix_in_clear(material: Any) -> None:
    """Mixes what is behind into a new material, where its picture's alpha is not 1."""
    tree = material.node_tree
    output = _output(tree)
    shown = output.inputs["Surface"].links[0].from_socket
    clear, mix = tree.nodes.new("ShaderNodeBsdfTransparent"), tree.nodes.new("ShaderNodeMixShader")
    x = shown.node.location.x
    clear.location, mix.location, output.location = (x, 120), (x + 200, 0), (x + 400, 0)
    for start, end in (
        (sharpen.shown(tree.nodes).outputs["Alpha"], mix.inputs[0]),
        (clear.outputs[0], mix.inputs[1]),
        (shown, mix.inputs[2]),
        (mix.outputs[0], output.inputs["Surface"]),
    ):
        tree.links.new(start, end)
    material.surface_render_method = "BLENDED"  # EEVEE's other way draws an alpha of a half as a pattern of dots


def _output(tree: Any) -> Any:
    """Returns the output that all engines render, or None. Blender names it in the user's language."""
    return tree.get_output_node("ALL")


def shows_picture(material: bpy.types.Material) -> bool:
    return material.node_tree is not None and PICTURE in material.node_tree.nodes


def shows_its_picture(proxy: bpy.types.Object) -> bool:
    """Returns whether a material shows the face's picture: ours, or one that an artist built around the image."""
    face = face_of(proxy)
    if picture_nodes(proxy):
        return True
    meshes = [proxy.data, *([face.plate.data] if face.plate is not None else [])]
    trees = [m.node_tree for mesh in meshes for m in mesh.materials if m is not None and m.node_tree is not None]
    pictures = [image for image in (face.image, face.baked) if image is not None]
    return any(getattr(node, "image", None) in pictures for tree in trees for node in tree.nodes)


def picture_nodes(proxy: bpy.types.Object) -> list[bpy.types.ShaderNodeTexImage]:
    """Returns the texture nodes that show the face's picture: the plate's, and the proxy's if the proxy shows it."""
    return [material.node_tree.nodes[PICTURE] for material in materials_of(proxy)]


def materials_of(proxy: bpy.types.Object) -> list[Any]:
    """Returns the materials with such a node."""
    face = face_of(proxy)
    meshes = [*([face.plate.data] if face.plate is not None else []), proxy.data]
    every = [material for mesh in meshes for material in mesh.materials if material is not None]
    return [material for material in every if shows_picture(material)]


def register() -> None:
    on_display.append(show_picture)


def unregister() -> None:
    on_display.remove(show_picture)
