# SPDX-License-Identifier: GPL-3.0-or-later
"""Sharpen: an enlarged picture is smooth and crisper, within its own range; switched off, renders are as painted."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from conftest import addon
from helpers import key, render
from test_alpha import EEVEE
from test_matte import head, shoot  # noqa: F401 a fixture

SIZE = 3  # times the picture's own


def slider(proxy):
    return addon("blender.scene.sharpen").slider_of(addon("blender.scene.display").materials_of(proxy))


@pytest.fixture()
def enlarged(scene, head, settle):  # noqa: F811
    """A head whose plate fills a picture three times as large as its own."""
    assert bpy.ops.effigy.exact_view(size="PICTURE") == {"FINISHED"}
    scene.render.resolution_x = scene.render.resolution_y = SIZE * head.effigy.image.size[0]
    assert bpy.ops.effigy.exact_view(size="SCENE") == {"FINISHED"}
    settle()
    return head


def straight(proxy):
    """The face's image, [H, W, 4], bottom row first, in linear light."""
    width, height = proxy.effigy.image.size
    pixels = np.empty(4 * width * height, np.float32)
    proxy.effigy.image.pixels.foreach_get(pixels)
    pixels = pixels.reshape(height, width, 4)
    pixels[..., :3] = linear(pixels[..., :3])
    return pixels


def linear(colour):
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)


def spline(plane, right, down):
    """Cubic B-spline interpolation of [H, W, C] to SIZE times its size, looking pixels aside."""
    for axis, aside in ((0, down), (1, right)):
        count = plane.shape[axis]
        places = (np.arange(SIZE * count) + 0.5) / SIZE - 0.5 + aside
        first, out = np.floor(places).astype(int), 0.0
        for step in range(-1, 3):
            away = np.abs(places - first - step)
            weight = np.where(away < 1, (4 - 6 * away**2 + 3 * away**3) / 6, np.maximum(2 - away, 0) ** 3 / 6)
            weight = weight.reshape(-1, *[1] * (plane.ndim - 1 - axis))
            out = out + weight * plane.take((first + step).clip(0, count - 1), axis)
        plane = out
    return plane


def expected(picture, amount):
    """What the nodes should show of ``picture`` [H, W, 4] in linear light: the same in numpy."""

    def tap(right, down):
        found = spline(np.concatenate([picture[..., :3] * picture[..., 3:], picture[..., 3:]], axis=-1), right, down)
        return (found[..., :3] / np.maximum(found[..., 3:], 1e-6)).clip(0) ** 0.5, found[..., 3:]

    def sharpened(centre, around):
        low, high = np.minimum.reduce([centre, *around]), np.maximum.reduce([centre, *around])
        sharp = centre + amount * (4 * centre - sum(around))
        return sharp.clip(low - 0.25 * (high - low), high + 0.25 * (high - low)).clip(0, 1)

    colour, alpha = tap(0, 0)
    beside = [tap(*step) for step in ((-1, 0), (1, 0), (0, -1), (0, 1))]
    shown = sharpened(colour, [colour + opacity * (other - colour) for other, opacity in beside]) ** 2
    return np.concatenate([shown, sharpened(alpha, [opacity for _, opacity in beside])], axis=-1)


def edges(picture):
    """The mean square of differences between neighbours."""
    return float(np.square(np.diff(picture, axis=0)).mean() + np.square(np.diff(picture, axis=1)).mean())


@pytest.mark.parametrize("engine", ["CYCLES", EEVEE])
def test_an_enlarged_picture_is_sharpened_within_its_own_detail(scene, enlarged, engine):
    painted, found = straight(enlarged), {}
    for amount in (0.0, 0.5):
        slider(enlarged).default_value = amount
        found[amount] = shoot(scene, engine, 16 if engine == "CYCLES" else 1) / 255
        wanted, shown = expected(painted, amount), found[amount].copy()
        shown[..., :3] = linear(shown[..., :3])
        away = np.abs(shown - wanted)[wanted[..., 3] > 0.99]
        assert away.mean() < 0.01
        assert np.abs(shown[..., 3] - wanted[..., 3]).mean() < 0.01
    assert edges(found[0.5][..., :3]) > 1.1 * edges(found[0.0][..., :3])
    assert edges(found[0.5][..., 3]) > 1.1 * edges(found[0.0][..., 3])
    assert found[0.5][0, 0, 3] == 0, "sharpening shows a corner of the plate"


def test_switched_off_a_render_is_as_painted(scene, enlarged):
    assert bpy.ops.effigy.exact_view(size="PICTURE") == {"FINISHED"}
    assert not enlarged.effigy.sharpen
    off = shoot(scene, "CYCLES", 1)
    tree = enlarged.effigy.plate.data.materials[0].node_tree
    sharpen = tree.nodes["Sharpen"]
    for name in ("Color", "Alpha"):
        for following in [link.to_socket for link in sharpen.outputs[name].links]:
            tree.links.new(tree.nodes["Picture"].outputs[name], following)
    tree.nodes.remove(sharpen)
    np.testing.assert_array_equal(off, shoot(scene, "CYCLES", 1))


def test_all_that_shows_the_picture_follows_bakes_and_displays(scene, enlarged, settle):
    scene.frame_start, scene.frame_end = 1, 2
    key(enlarged, "jawOpen", (1, 0.0), (2, 0.8))
    live = render(scene)
    assert bpy.ops.effigy.bake() == {"FINISHED"}
    for before, after in zip(live, render(scene), strict=True):
        # A bake keys the plate's place, which float32 rounds once more: what is interpolated may round otherwise.
        assert np.abs(before.astype(int) - after).max() <= 1
    display, sharpen = addon("blender.scene.display"), addon("blender.scene.sharpen")
    enlarged.effigy.display = "PROJECTED"
    slider(enlarged).default_value = 0.25
    bpy.context.view_layer.update()
    materials = display.materials_of(enlarged)
    assert len(materials) == 2
    for source in ("BAKED", "LIVE"):
        if source == "LIVE":
            assert bpy.ops.effigy.show_live() == {"FINISHED"}
        picture = enlarged.effigy.baked if source == "BAKED" else enlarged.effigy.image
        for material in materials:
            nodes = material.node_tree.nodes
            textures = [nodes["Picture"], *sharpen.beside(material)]
            assert [texture.image for texture in textures] == 5 * [picture]
            assert {texture.interpolation for texture in textures} == {"Cubic"}
            assert nodes.active == nodes["Picture"], "solid viewports show another image"
            shown = material.evaluated_get(bpy.context.evaluated_depsgraph_get()).node_tree.nodes["Sharpen"]
            assert shown.inputs["Sharpness"].default_value == pytest.approx(0.25)
    enlarged.effigy.lit = True
    for material in materials:
        nodes = material.node_tree.nodes
        (divided,) = nodes["Light"].outputs["Color"].links
        assert divided.to_node.inputs[0].links[0].from_node == nodes["Sharpen"], "Lit lights what is not sharpened"
