# SPDX-License-Identifier: GPL-3.0-or-later
"""A head that is cut out stands in a shot: its shadow, no light of its own, others before and behind, mattes."""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path

import bpy
import numpy as np
import pytest
from conftest import addon, stale_of
from helpers import rgba
from test_alpha import EEVEE, bytes_of, check_render, painted, read

SIZE = 64


@pytest.fixture()
def head(scene, face):
    """A face of which only the head is shown, before nothing and without light."""
    face.effigy.matte = "HEAD"
    scene.world = bpy.data.worlds.new("Dark")
    scene.world.color = (0, 0, 0)
    if scene.world.node_tree is not None:  # from Blender 5.0 on
        scene.world.node_tree.nodes["Background"].inputs["Strength"].default_value = 0.0
    scene.render.film_transparent = True
    scene.render.image_settings.color_mode = "RGBA"
    bpy.context.view_layer.update()
    return face


def test_no_black_square_stands_where_the_first_picture_is_to_come(scene, backend, preferences):
    before, preferences.matte = preferences.matte, "HEAD"
    assert bpy.ops.effigy.add_face(seed=4) == {"FINISHED"}
    preferences.matte = before
    assert not rgba(bpy.context.active_object.effigy.image).any()


def shoot(scene, engine, samples=8) -> np.ndarray:
    """Renders the current frame; returns its bytes [H, W, 4], bottom row first. EEVEE takes a sample: it has no noise
    here, and without a graphics card each takes a second.
    """
    scene.render.engine, scene.cycles.samples, scene.eevee.taa_render_samples = engine, samples, 1
    scene.render.filepath = str(Path(bpy.data.filepath).with_name("shot.png"))
    bpy.ops.render.render(write_still=True)
    return read(scene.render.filepath)


def coarse(alpha: np.ndarray) -> np.ndarray:
    """Alpha bytes [2 SIZE, 2 SIZE] as shares [SIZE, SIZE]."""
    return alpha.reshape(SIZE, 2, SIZE, 2).mean(axis=(1, 3)) / 255


def wall(scene, place) -> bpy.types.Object:
    bpy.ops.mesh.primitive_plane_add(size=50, location=place, rotation=(math.pi / 2, 0, 0))
    card, paint = bpy.context.active_object, bpy.data.materials.new("Paint")
    if bpy.app.version < (5, 0, 0):
        paint.use_nodes = True
    card.data.materials.append(paint)
    return card


def test_a_face_is_whole_until_its_head_is_asked_for_and_again_afterwards(scene, face, settle):
    settle()
    whole = rgba(face.effigy.image)
    bpy.ops.effigy.bake()
    bpy.ops.effigy.show_live()
    face.effigy.matte = "HEAD"
    bpy.context.view_layer.update()
    settle()
    image, wanted = face.effigy.image, bytes_of(painted(face))
    np.testing.assert_array_equal(rgba(image), wanted)
    alpha = wanted[..., 3]
    assert [int(alpha[row, column]) for row in (-1,) for column in (0, -1)] == [0, 0]
    assert alpha[64, 64] == 255
    assert addon("blender.scene.queries").has_own_plate(face)
    opaque = alpha == 255
    np.testing.assert_array_equal(wanted[opaque], whole[opaque])
    face.effigy.source = "BAKED"
    bpy.context.view_layer.update()
    settle()
    assert stale_of(face) == ["matte"]
    face.effigy.source, face.effigy.matte = "LIVE", "NONE"
    bpy.context.view_layer.update()
    settle()
    np.testing.assert_array_equal(rgba(face.effigy.image), whole)


def test_a_render_and_a_bake_over_nothing_have_the_matte(scene, head):
    engine = "CYCLES"  # test_alpha has the other
    scene.frame_end = 1
    assert bpy.ops.effigy.exact_view() == {"FINISHED"}
    scene.cycles.samples = 1
    head.rotation_euler.rotate_axis("Y", 0.3)  # a roll, which would show the corners
    bpy.context.view_layer.update()
    assert [int(a) for a in shoot(scene, engine, 1)[[0, 0, -1, -1], [0, -1, 0, -1], 3]][2:] == [0, 0]
    head.rotation_euler.rotate_axis("Y", -0.3)
    bpy.context.view_layer.update()
    check_render_of(scene, head, engine)
    head.effigy.image.alpha_mode = "CHANNEL_PACKED"  # without it Cycles multiplies bytes by alpha, and rounds them down
    got, wanted = (each.astype(float) for each in (shoot(scene, engine, 1), bytes_of(painted(head))))
    np.testing.assert_array_equal(got[..., :3] * got[..., 3:], wanted[..., :3] * wanted[..., 3:])
    head.effigy.image.alpha_mode = "STRAIGHT"
    assert bpy.ops.effigy.bake() == {"FINISHED"}
    check_render_of(scene, head, engine)


def check_render_of(scene, head, engine):
    shoot(scene, engine, 1)
    check_render(scene.render.filepath, bytes_of(painted(head)), engine)


def test_a_solid_viewport_shows_the_head_alone(scene, head):
    """Workbench draws it, by the texture of the material."""
    assert bpy.ops.effigy.exact_view() == {"FINISHED"}
    seen, wanted = shoot(scene, "BLENDER_WORKBENCH"), bytes_of(painted(head))
    np.testing.assert_array_equal(seen[..., 3][wanted[..., 3] == 0], 0)
    opaque = wanted[..., 3] == 255
    np.testing.assert_array_equal(seen[opaque], wanted[opaque])


@pytest.mark.parametrize("engine", ["CYCLES", EEVEE])
def test_the_shadow_is_the_heads_and_no_light_falls_from_it_unless_asked(scene, head, engine):
    plate, camera = head.effigy.plate, scene.camera
    camera.data.type, camera.data.ortho_scale = "ORTHO", head.effigy.plate_size
    bpy.context.view_layer.update()
    wall(scene, (0, 1.5, 0))
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    scene.collection.objects.link(sun)
    sun.rotation_euler, sun.data.energy, sun.data.angle = (math.pi / 2, 0, 0), 2.0, 0.0  # it shines as the camera looks
    camera.data.shift_x = camera.data.shift_y = 0.0
    scene.render.resolution_x = scene.render.resolution_y = SIZE
    plate.visible_camera = False
    shadow = shoot(scene, engine)[..., 1].astype(float)
    lit = np.median(shadow[-4:, :4])
    assert lit > 60
    x, y = head.effigy.plate_offset
    moved = [round(SIZE * each / head.effigy.plate_size) for each in (y, x)]
    alpha = np.roll(coarse(bytes_of(painted(head))[..., 3]), moved, (0, 1))
    sure = (alpha < 0.05) | (alpha > 0.95)
    same = (shadow < 0.5 * lit)[sure] == (alpha > 0.5)[sure]
    assert same.mean() > 0.97
    plate.visible_shadow = False
    assert shoot(scene, engine)[..., 1].min() > 0.8 * lit
    sun.data.energy = 0.0
    assert shoot(scene, engine)[..., :3].max() <= 1, "the picture lights the wall"
    if engine == "CYCLES":
        plate.visible_diffuse = True
        assert shoot(scene, engine)[..., :3].max() > 10


@pytest.mark.parametrize("engine", ["CYCLES", EEVEE])
def test_faces_hide_each_other_as_they_stand_and_hold_out_and_have_mattes_of_their_own(scene, head, settle, engine):
    scene.render.resolution_x = scene.render.resolution_y = SIZE
    assert bpy.ops.effigy.add_face(seed=5) == {"FINISHED"}
    behind = bpy.context.active_object
    behind.effigy.matte = "HEAD"
    behind.location = (0.8, 0.8, 0.1)
    bpy.context.view_layer.update()
    settle()
    both = shoot(scene, engine).astype(int)
    behind.effigy.plate.hide_render = True
    front = shoot(scene, engine).astype(int)
    behind.effigy.plate.hide_render, head.effigy.plate.hide_render = False, True
    back = shoot(scene, engine).astype(int)
    head.effigy.plate.hide_render = False
    inside, outside = front[..., 3] > 253, front[..., 3] < 2
    assert same(both, front, inside)
    assert same(both, back, outside)
    assert (back[outside][:, 3] > 253).sum() > 50
    head.effigy.plate.is_holdout = True
    material = head.effigy.plate.data.materials[0]
    if bpy.app.version < (5, 0, 0):  # whose EEVEE takes a blended plate for a whole square
        material.surface_render_method = "DITHERED"
    held = shoot(scene, engine).astype(int)
    assert held[inside][:, 3].max() <= 1
    assert same(held, back, outside)
    head.effigy.plate.is_holdout, material.surface_render_method = False, "BLENDED"
    if engine != "CYCLES":
        return  # what EEVEE blends has no Cryptomatte
    scene.view_layers[0].use_pass_cryptomatte_object = True
    for proxy, seen in ((head, front[..., 3] / 255), (behind, np.where(inside, 0, back[..., 3] / 255))):
        coverage = cryptomatte(scene, engine, proxy.effigy.plate.name)
        sure = inside | outside
        assert np.abs(coverage - seen)[sure].mean() < 0.01, proxy.name


def same(one, other, where) -> bool:
    """Whether two renders agree in those pixels but for a few at edges, which are drawn by chance."""
    return (np.abs(one - other)[where].max(axis=1) <= 1).mean() > 0.95


def cryptomatte(scene, engine, name) -> np.ndarray:
    """How much of every pixel [H, W] the object covers, bottom row first."""
    settings = scene.render.image_settings
    if bpy.app.version >= (5, 0, 0):
        settings.media_type = "MULTI_LAYER_IMAGE"
    settings.file_format, settings.color_depth, settings.exr_codec = "OPEN_EXR_MULTILAYER", "32", "NONE"
    if hasattr(settings, "use_exr_interleave"):
        settings.use_exr_interleave = True  # all channels in one part
    scene.render.engine, scene.cycles.samples, scene.eevee.taa_render_samples = engine, 8, 8
    scene.render.filepath = str(Path(bpy.data.filepath).with_name("mattes.exr"))
    bpy.ops.render.render(write_still=True)
    content = Path(scene.render.filepath).read_bytes()
    planes = exr_planes(content)
    number = int(re.search(rb'"' + name.encode() + rb'":"([0-9a-f]{8})"', content)[1], 16)
    found = np.zeros((SIZE, SIZE))
    for channel, values in planes.items():
        match = re.search(r"CryptoObject(\d\d)\.([rb])$", channel, re.IGNORECASE)
        if match:
            covered = planes[channel[:-1] + {"r": "g", "b": "a", "R": "G", "B": "A"}[match[2]]]
            found += np.where(values.view(np.uint32) == number, covered, 0)
    return found[::-1]


def exr_planes(content: bytes) -> dict[str, np.ndarray]:
    """The channels [H, W] of an OpenEXR file without compression, whose channels are all of 32 bits."""
    head, at, channels = {}, 8, []
    while content[at]:
        name, kind = (content[at:].split(b"\0", 2)[i] for i in (0, 1))
        at += len(name) + len(kind) + 2
        (size,) = struct.unpack_from("<i", content, at)
        head[name], at = content[at + 4 : at + 4 + size], at + 4 + size
    rest = head[b"channels"]
    while rest[0]:
        name, rest = rest.split(b"\0", 1)
        assert struct.unpack_from("<i", rest)[0] in (0, 2)
        channels.append(name.decode())
        rest = rest[16:]
    left, top, right, bottom = struct.unpack("<4i", head[b"dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    lines = at + 1 + 8 * height
    block = 8 + 4 * width * len(channels)
    rows = np.frombuffer(content, np.uint8, block * height, lines).reshape(height, block)[:, 8:]
    values = np.ascontiguousarray(rows).view(np.float32).reshape(height, len(channels), width)
    return {name: np.ascontiguousarray(values[:, i]) for i, name in enumerate(channels)}
