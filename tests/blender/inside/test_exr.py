# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's compositor reads the backend's OpenEXR files: every layer by its name, with the values that were sent."""

from __future__ import annotations

import bpy
import numpy as np
from conftest import addon, ensure_open

import effigy_client.pixels
from effigy_protocol.messages import Synthesize

NAMES = ("normal", "depth", "albedo")
UNIT, DISTANCE = 0.1, 1.5


def composited(scene, image, layer, path):
    """[H, W, 4], top row first: what the compositor makes of one layer of ``image`` alone, written and read again."""
    if bpy.app.version < (5, 0, 0):
        scene.use_nodes = True
        tree = scene.node_tree
        tree.nodes.clear()
        out = tree.nodes.new("CompositorNodeComposite")
    else:
        tree = scene.compositing_node_group = bpy.data.node_groups.new(layer, "CompositorNodeTree")
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        out = tree.nodes.new("NodeGroupOutput")
    node = tree.nodes.new("CompositorNodeImage")
    node.image = image
    tree.links.new(node.outputs[layer], out.inputs[0])
    settings = scene.render.image_settings
    settings.file_format, settings.color_depth, settings.color_mode = "OPEN_EXR", "32", "RGBA"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    written = bpy.data.images.load(str(path))
    written.colorspace_settings.name = "Non-Color"
    width, height = written.size
    return np.array(written.pixels[:], np.float32).reshape(height, width, 4)[::-1]


def test_the_compositor_finds_every_layer_and_value(scene, face, tmp_path):
    link, identity = addon("blender.pictures.session").session.ensure_ready().link, ensure_open(face)
    asked = {"purpose": "final", "passes": NAMES, "matte": "head"}
    file = link.call(Synthesize(identity, 9.0, 0.0, {}, encoding="exr", unit=UNIT, distance=DISTANCE, **asked), 300)
    plain = link.call(Synthesize(identity, 9.0, 0.0, {}, encoding="rgba8", **asked), 300)
    path = tmp_path / "face.exr"
    path.write_bytes(file.data)
    image = bpy.data.images.load(str(path))
    assert (image.colorspace_settings.name, image.alpha_mode) == ("Linear Rec.709", "PREMUL")
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = (
        file.width,
        file.height,
        100,
    )
    found = {
        layer: composited(scene, image, layer, tmp_path / f"{layer}-out.exr")
        for layer in ("Combined", "Normal", "Depth", "Albedo")
    }
    passes = effigy_client.pixels.passes_of(plain)
    for layer in ("Normal", "Albedo"):
        np.testing.assert_array_equal(found[layer][..., :3], passes[layer.lower()].astype(np.float32))
    colours = np.frombuffer(plain.data, np.uint8).reshape(plain.height, plain.width, 4) / 255
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)[..., :3]
    alpha = colours[..., 3:]
    np.testing.assert_allclose(found["Combined"][..., 3:], alpha, atol=1 / 255)
    np.testing.assert_allclose(found["Combined"][..., :3], linear * alpha, atol=8e-3)
    head = alpha[..., 0] > 0.5
    depth = DISTANCE - UNIT * passes["depth"][..., 0].astype(float)
    np.testing.assert_allclose(found["Depth"][head][:, 0], depth[head], atol=1e-3)
    assert found["Depth"][0, 0, 0] == np.float32(1e10), "behind the head is nothing, as in Blender's own depth"


def test_layers_are_written_beside_the_blend_and_tell_metres(scene, face):
    layers = addon("blender.pictures.layers")
    scene.frame_end = 2
    assert bpy.ops.effigy.bake_layers() == {"FINISHED"}
    folder = addon("blender.pictures.bake").folder_of(face) / "layers"
    files = sorted(folder.glob("*.exr"))
    assert [path.name for path in files] == ["layers_0001.exr", "layers_0002.exr"]
    assert face.effigy.source != "BAKED", "the scene stays as it is"
    before = [path.stat().st_mtime_ns for path in files]
    assert bpy.ops.effigy.bake_layers() == {"FINISHED"}
    assert [path.stat().st_mtime_ns for path in files] == before, "what is right is kept"
    unit, distance = layers.metres_of(face, scene)
    scene.unit_settings.scale_length *= 2
    doubled = layers.metres_of(face, scene)
    np.testing.assert_allclose(doubled, (2 * unit, 2 * distance))
    camera = scene.camera or face.effigy.camera
    apart = np.array(camera.matrix_world)[:3, 3] - np.array(face.matrix_world)[:3, 3]
    np.testing.assert_allclose(distance, np.linalg.norm(apart), rtol=1e-5, err_msg="a perspective camera looks at it")
    assert bpy.ops.effigy.bake_layers() == {"FINISHED"}
    assert all(path.stat().st_mtime_ns != time for path, time in zip(files, before, strict=True)), (
        "their depth is another"
    )
