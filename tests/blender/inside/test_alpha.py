# SPDX-License-Identifier: GPL-3.0-or-later
"""A model that paints alpha: its bytes are the same in the preview, a bake, a reopened file and a render."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from conftest import addon, ensure_open
from helpers import key, rgba, swing

import effigy_client.pixels
import effigy_client.sequence

EEVEE = "BLENDER_EEVEE_NEXT" if bpy.app.version < (5, 0, 0) else "BLENDER_EEVEE"


@pytest.fixture(scope="module")
def clear_backend(backend, serve, planes):
    """A backend that paints an alpha, in the place of the session's."""
    serve(str(planes))
    return backend


@pytest.fixture()
def clear(scene, clear_backend):
    """A face with an alpha, before nothing."""
    assert bpy.ops.effigy.add_face(seed=4) == {"FINISHED"}
    proxy = bpy.context.active_object
    proxy.effigy.matte = "HEAD"
    bpy.context.view_layer.update()
    assert bpy.ops.effigy.exact_view() == {"FINISHED"}
    scene.render.film_transparent = True
    scene.render.image_settings.color_mode = "RGBA"
    return proxy


def read(path, *, linear=False):
    image = bpy.data.images.load(str(path))
    image.alpha_mode = "CHANNEL_PACKED"
    try:
        return rgba(image, linear=linear)
    finally:
        bpy.data.images.remove(image)


def painted(proxy, encoding="rgba8", passes=()):
    """The backend's own final of what the scene asks for now."""
    session, scene = addon("blender.pictures.session").session, bpy.context.scene
    wanted = addon("blender.scene.reader").read_face(proxy, scene, bpy.context.evaluated_depsgraph_get())
    request = wanted.parameters.request(ensure_open(proxy), "final", encoding, passes=passes)
    return session.ensure_ready().link.call(request, 300)


def bytes_of(frame):
    return np.frombuffer(frame.data, np.uint8).reshape(frame.height, frame.width, 4)[::-1]


def test_a_face_without_an_alpha_is_built_as_before(scene, face):  # first: the others serve another model
    image, tree = face.effigy.image, face.effigy.plate.data.materials[0].node_tree
    assert (image.depth, image.alpha_mode) == (24, "STRAIGHT")
    assert {node.bl_idname for node in tree.nodes} == {
        "ShaderNodeTexImage",
        "ShaderNodeEmission",
        "ShaderNodeOutputMaterial",
    }


def test_the_preview_shows_the_models_alpha_and_a_saved_file_keeps_it(clear, settle):
    clear.data.shape_keys.key_blocks["jawOpen"].value = 0.5
    bpy.context.view_layer.update()
    settle()
    wanted = bytes_of(painted(clear))
    assert len(np.unique(wanted[..., 3])) > 50
    np.testing.assert_array_equal(rgba(clear.effigy.image), wanted)
    assert clear.effigy.image.depth == 32
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    image = bpy.context.scene.objects["Face 4"].effigy.image
    np.testing.assert_array_equal(rgba(image), wanted)
    assert image.depth == 32


@pytest.mark.parametrize("depth", ["8", "16"])
def test_a_bake_has_the_models_alpha_and_its_plate_shows_it(scene, clear, depth):
    swing(clear, scene, 15)
    scene.frame_end, clear.effigy.bake_depth = 2, depth
    assert bpy.ops.effigy.bake() == {"FINISHED"}
    for frame in (1, 2):
        scene.frame_set(frame)
        wanted = bytes_of(painted(clear))
        got = read(addon("blender.pictures.stale").file_of(clear, frame), linear=depth == "16")
        np.testing.assert_array_equal(got[..., 3], wanted[..., 3])
        # A half between two levels may go either way on its way to linear light and back.
        assert np.abs(got.astype(int) - wanted).max() <= (depth == "16")


def check_render(path, wanted, engine):
    """Alpha is the model's; so is colour where that is 1, and elsewhere colour times alpha, within a level of 255.

    Cycles rounds down where it multiplies bytes by alpha, which exact bytes allow for.
    """
    got, alpha = read(path), wanted[..., 3].copy()
    if engine == EEVEE:
        alpha[alpha == 254] = 255  # EEVEE takes whatever is over 0.995 for 1
    np.testing.assert_array_equal(got[..., 3], alpha)
    opaque = wanted[..., 3] == 255
    np.testing.assert_array_equal(got[opaque], wanted[opaque])
    lit = [picture[..., :3].astype(float) * picture[..., 3:] / 255 for picture in (got, wanted)]
    assert np.abs(lit[0] - lit[1]).max() <= 1
    assert np.abs(lit[0] - lit[1]).mean() < 0.6


@pytest.mark.parametrize("engine", ["CYCLES", EEVEE])
def test_a_render_over_nothing_has_the_models_alpha(scene, clear, engine):
    key(clear, "jawOpen", (1, 0.0), (2, 0.8))
    frames = (1, 2) if engine == "CYCLES" else (2,)  # EEVEE takes seconds to begin each; test_render has several
    scene.render.engine, scene.frame_start, scene.frame_end = engine, frames[0], frames[-1]
    scene.eevee.taa_render_samples = 1
    assert bpy.ops.effigy.exact_view() == {"FINISHED"}
    bpy.ops.render.render(animation=True)
    live = {frame: read(f"{scene.render.filepath}{frame:04d}.png") for frame in frames}
    for frame in frames:
        scene.frame_set(frame)
        check_render(f"{scene.render.filepath}{frame:04d}.png", bytes_of(painted(clear)), engine)
    if engine == EEVEE:
        return  # which knows no more of a bake than Cycles, and takes seconds
    assert bpy.ops.effigy.bake() == {"FINISHED"}
    bpy.ops.render.render(animation=True)
    for frame in frames:
        np.testing.assert_array_equal(read(f"{scene.render.filepath}{frame:04d}.png"), live[frame])


def test_what_stands_behind_is_seen_where_the_picture_is_clear(scene, clear):
    bpy.ops.mesh.primitive_plane_add(size=50, location=(0, 20, 0), rotation=(np.pi / 2, 0, 0))
    card, red = bpy.context.active_object, bpy.data.materials.new("Red")
    if bpy.app.version < (5, 0, 0):
        red.use_nodes = True
    red.node_tree.nodes.clear()
    shine, out = red.node_tree.nodes.new("ShaderNodeEmission"), red.node_tree.nodes.new("ShaderNodeOutputMaterial")
    shine.inputs["Color"].default_value = (1.0, 0.0, 0.0, 1.0)
    red.node_tree.links.new(shine.outputs[0], out.inputs[0])
    card.data.materials.append(red)
    scene.frame_end = 1
    bpy.ops.render.render(animation=True)
    got, wanted = read(f"{scene.render.filepath}0001.png"), bytes_of(painted(clear))
    hidden, seen = wanted[..., 3] == 255, wanted[..., 3] == 0
    np.testing.assert_array_equal(got[hidden], wanted[hidden])
    assert (got[seen] == [255, 0, 0, 255]).all()


def test_a_walk_brings_the_passes_that_it_asks_for(scene, clear):
    walk_of = addon("blender.pictures.walk").Walk
    key(clear, "jawOpen", (1, 0.0), (2, 1.0))
    walk = walk_of(clear, scene, range(1, 3), "png", lambda *_: False, passes=("normal", "depth"))
    steps = []
    while not walk.is_done:
        steps += walk.step()
        effigy_client.sequence.pause()
    arrays = [effigy_client.pixels.passes_of(step.picture) for step in steps]
    assert [tuple(passes) for passes in arrays] == [("normal", "depth")] * 2
    for step, passes in zip(steps, arrays, strict=True):
        scene.frame_set(step.frame)
        again = effigy_client.pixels.passes_of(painted(clear, passes=("normal", "depth")))
        for name in again:
            np.testing.assert_array_equal(again[name], passes[name])
    assert arrays[0]["normal"].shape == (128, 128, 3)
    assert (arrays[0]["normal"] != arrays[1]["normal"]).any()
