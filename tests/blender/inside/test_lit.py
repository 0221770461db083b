# SPDX-License-Identifier: GPL-3.0-or-later
"""Lit: the scene's light falls on the face, in every renderer; at 0, and without it, pictures are as painted."""

from __future__ import annotations

import math

import bpy
import numpy as np
import pytest
from conftest import addon, follower_of, stale_of
from helpers import give_ups, key, render, rgba
from test_alpha import EEVEE, bytes_of, painted
from test_matte import head, shoot  # noqa: F401 a fixture

from effigy_client.pixels import BRIGHTEST, Surface

SUN = 2.0  # W/m²: white paper across it is 2 / π bright


def slider(proxy):
    return addon("blender.scene.lit").slider_of(addon("blender.scene.display").materials_of(proxy))


@pytest.fixture()
def lit(scene, head, settle):  # noqa: F811
    """A head that only a sun lights, through a camera without perspective that sees exactly its plate."""
    assert bpy.ops.effigy.exact_view() == {"FINISHED"}
    head.effigy.lit = True
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    scene.collection.objects.link(sun)
    sun.data.energy, sun.data.angle = SUN, 0.0
    bpy.context.view_layer.update()
    settle()
    return head


def shine(degrees):
    """Turns the sun about the head: 0 is behind the camera, 90 shines from the picture's right."""
    bpy.data.objects["Sun"].rotation_euler = (math.pi / 2, 0, math.radians(degrees))
    bpy.context.view_layer.update()


def light_of(picture):
    """Bytes [H, W, 4] of sRGB → linear, times alpha."""
    colour = picture[..., :3] / 255
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4) * picture[..., 3:] / 255


def expected(proxy, degrees):
    """What the sun makes of the face, [H, W, 3], and where the head is."""
    frame = painted(proxy)
    surface, picture = Surface.of(frame, "head"), bytes_of(frame)
    normal = surface.normal[..., :3] / 65535 * 2 - 1
    sun = math.sin(math.radians(degrees)), 0.0, math.cos(math.radians(degrees))
    shade = (normal @ np.array(sun)).clip(0)[..., None] * SUN / math.pi
    return light_of(picture) / (surface.light[..., :3] / 65535 * BRIGHTEST) * shade, picture[..., 3] == 255


@pytest.mark.parametrize("engine", ["CYCLES", EEVEE])
def test_light_from_the_left_brightens_the_left_cheek(scene, lit, engine):
    found = {}
    bpy.data.objects["Sun"].data.use_shadow = engine == "CYCLES"  # EEVEE of 4.2 has the plate shade itself a little
    for degrees in (-50, 50):
        shine(degrees)
        found[degrees] = light_of(shoot(scene, engine, 4 if engine == "CYCLES" else 1))
        wanted, solid = expected(lit, degrees)
        solid[:1] = solid[-1:] = solid[:, :1] = solid[:, -1:] = False
        away = np.abs(found[degrees] - wanted)[solid]
        assert away.mean() < 0.02
        assert np.quantile(away, 0.99) < 0.1
        assert np.corrcoef(found[degrees][solid].ravel(), wanted[solid].ravel())[0, 1] > 0.97
    change = (found[-50] - found[50]).mean(axis=2)
    left, right = change[40:70, 40:55], change[40:70, 75:90]
    assert min((left > 0).mean(), (right < 0).mean()) > 0.95
    assert min(left.mean(), -right.mean()) > 0.05


@pytest.mark.parametrize("degrees", [65, 80])
def test_light_from_the_side_is_as_bright_in_cycles_as_its_angle_says(scene, lit, degrees):
    shine(degrees)
    wanted, solid = expected(lit, degrees)
    solid[:1] = solid[-1:] = solid[:, :1] = solid[:, -1:] = False
    found = light_of(shoot(scene, "CYCLES", 4))[solid]
    # Bytes of the render, and of the picture that the light falls on: half a level each, in linear light.
    assert np.abs(found - wanted[solid]).mean() < 2 / 255
    assert found.mean() == pytest.approx(wanted[solid].mean(), rel=0.01)


@pytest.mark.parametrize("engine", ["CYCLES", EEVEE])
def test_at_0_and_switched_off_a_render_is_as_painted(scene, lit, engine):
    shine(30)
    scene.render.film_transparent = False
    slider(lit).default_value = 0.0
    found = [shoot(scene, engine, 1)]
    lit.effigy.lit = False
    if engine == "CYCLES":  # a picture by EEVEE takes seconds
        found.append(shoot(scene, engine, 1))
    plain(lit)
    never = shoot(scene, engine, 1)
    for picture in found:
        np.testing.assert_array_equal(picture, never)
    assert never.max() > 150


def plain(proxy):
    """Takes Lit's nodes out again, as if they had never been there."""
    tree = proxy.effigy.plate.data.materials[0].node_tree
    mix = tree.nodes["Lit"]
    for following in [link.to_socket for link in mix.outputs[0].links]:
        tree.links.new(tree.nodes["Emission"].outputs[0], following)
    for name in ("Lit", "Light", "Normal"):
        tree.nodes.remove(tree.nodes[name])


def words(image):
    """The map that a face's image holds, [H, W, 3] of 16 bits, bottom row first."""
    values = np.empty(4 * image.size[0] * image.size[1], np.float32)
    image.pixels.foreach_get(values)
    return np.rint(65535.0 * values.reshape(image.size[1], image.size[0], 4)[..., :3]).astype(np.uint16)


def maps_of(proxy):
    return [words(image) for image in (proxy.effigy.normal_map, proxy.effigy.light_map)]


def test_a_preview_a_render_and_a_bake_are_lit_alike(scene, lit, settle, monkeypatch):
    scene.frame_start, scene.frame_end = 1, 2
    key(lit, "jawOpen", (1, 0.0), (2, 0.8))
    scene.frame_set(1)
    shine(40)
    # On the diagonal between the plate's triangles a ray to the sun may meet the other one, as the processor rounds.
    bpy.data.objects["Sun"].data.use_shadow = False
    settle()
    frame = painted(lit)
    rest, surface = maps_of(lit), Surface.of(frame, "head")
    for found, wanted in zip(rest, (surface.normal, surface.light), strict=True):
        np.testing.assert_array_equal(found, wanted[..., :3])
    np.testing.assert_array_equal(rgba(lit.effigy.image), bytes_of(frame))
    live = render(scene)
    assert bpy.ops.effigy.bake() == {"FINISHED"}
    baked = render(scene)
    for one, other in zip(live, baked, strict=True):
        away = np.abs(one.astype(int) - other)
        assert away.max() <= 1, "the keys of a bake round the plate's turn"
        assert (away > 0).mean() < 1e-3
    assert np.abs(live[0].astype(int) - live[1]).max() > 10
    files = [addon("blender.pictures.stale").files_of(lit, frame) for frame in (1, 2)]
    assert [len(each) for each in files] == [3, 3]
    times = [file.stat().st_mtime_ns for each in files for file in each]
    assert bpy.ops.effigy.bake() == {"FINISHED"}
    assert times == [file.stat().st_mtime_ns for each in files for file in each], "what is there is not painted again"
    said = give_ups(monkeypatch)
    files[1][2].unlink()
    render(scene)
    assert [f"{files[1][2]} is missing" in line for line in said] == [True]


def test_a_bake_as_painted_says_that_it_cannot_be_lit_and_is_shown_as_it_is(scene, lit, settle):
    lit.effigy.lit = False
    scene.frame_end = 1
    assert bpy.ops.effigy.bake() == {"FINISHED"}
    settle()
    assert stale_of(lit) == []
    nodes = lit.effigy.plate.data.materials[0].node_tree.nodes
    lit.effigy.lit = True
    bpy.context.view_layer.update()
    settle()
    assert (stale_of(lit), nodes["Lit"].mute) == (["shading"], True)
    assert bpy.ops.effigy.bake() == {"FINISHED"}
    settle()
    assert (stale_of(lit), nodes["Lit"].mute) == ([], False)
    assert {nodes[name].image for name in ("Picture", "Normal", "Light")} == {
        lit.effigy.baked, lit.effigy.baked_normal, lit.effigy.baked_light
    }  # fmt: skip
    assert lit.effigy.baked_normal.colorspace_settings.is_data
    lit.effigy.lit = False  # the pictures themselves are right
    bpy.context.view_layer.update()
    settle()
    assert (stale_of(lit), nodes["Lit"].mute) == ([], True)


def test_a_moving_preview_asks_for_what_lights_it_and_waits_for_nothing(scene, lit, settle, nothing_waits):
    before = maps_of(lit)
    lit.rotation_euler.rotate_axis("Z", 0.3)
    bpy.context.view_layer.update()
    settle()
    follower = follower_of(lit)
    assert follower.is_right
    assert follower.shown.lit
    turned = maps_of(lit)
    assert (before[0] != turned[0]).mean() > 0.3
    lit.rotation_euler.rotate_axis("Z", -0.3)
    bpy.context.view_layer.update()
    settle()
    np.testing.assert_array_equal(maps_of(lit), before, err_msg="from memory")


def test_the_light_stays_where_it_is_when_the_rig_turns(scene, lit, settle):
    """Head and camera are turned together about the world's axis: the sun then comes from elsewhere."""
    shine(40)
    wanted = shoot(scene, "CYCLES", 4).astype(int)
    frame = bpy.data.objects.new("Frame", None)
    scene.collection.objects.link(frame)
    for obj in (lit, scene.camera):
        obj.parent = frame
    frame.rotation_euler[2] = math.radians(70)
    frame.location = (3.0, 1.0, 0.5)
    bpy.context.view_layer.update()
    settle()
    shine(110)
    found = shoot(scene, "CYCLES", 4).astype(int)
    assert (np.abs(found - wanted).max(axis=2) <= 3).mean() > 0.99
    shine(40)
    assert np.abs(shoot(scene, "CYCLES", 4).astype(int) - wanted).mean() > 5


def test_the_slider_is_keyed_and_works_under_view_transforms(scene, lit):
    maps = lit.effigy.normal_map, lit.effigy.light_map
    assert all(image.colorspace_settings.is_data for image in maps), "by whatever name a configuration calls that"
    for frame, value in ((1, 0.0), (2, 0.5), (3, 1.0)):
        slider(lit).default_value = value
        assert slider(lit).keyframe_insert("default_value", frame=frame)
    shine(0)
    bpy.data.objects["Sun"].data.energy = 0.0
    scene.frame_end = 3
    for transform in ("AgX", "Standard"):
        scene.view_settings.view_transform = transform
        whole, half, dark = (picture.astype(float).mean() for picture in render(scene))
        assert whole > 1.1 * half > 3 * dark, transform
        assert dark < 2, "no light, no face"


def test_what_the_mesh_wears_follows_the_plates_slider(scene, lit, settle):
    lit.effigy.display = "PROJECTED"
    bpy.context.view_layer.update()
    settle()
    worn = lit.data.materials[0].node_tree.nodes
    assert "Normal" not in worn, "the mesh has its own"
    slider(lit).default_value = 0.25
    bpy.context.view_layer.update()
    evaluated = lit.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.materials[0]
    assert evaluated.node_tree.nodes["Lit"].inputs[0].default_value == pytest.approx(0.25)
    slider(lit).default_value = 1.0
    shine(-50)
    left = shoot(scene, "CYCLES", 4).astype(float)
    shine(50)
    change = left - shoot(scene, "CYCLES", 4)
    assert change[40:70, 45:60].mean() > 5
    assert change[40:70, 70:85].mean() < -5


@pytest.mark.parametrize("display", ["PLATE", "PROJECTED"])
def test_a_blender_in_another_language_cuts_out_and_lights_faces_too(face, settle, display):
    """Where *New Data* is translated, Blender gives new nodes names like these; those of the tests know no language."""
    face.effigy.display = display
    bpy.context.view_layer.update()
    settle()
    materials = addon("blender.scene.display").materials_of(face)
    for material in materials:
        for name, translated in {"Emission": "Émission", "Material Output": "Material-Ausgabe"}.items():
            material.node_tree.nodes[name].name = translated
    face.effigy.matte, face.effigy.lit = "HEAD", True
    bpy.context.view_layer.update()
    settle()
    assert len(materials) == (1 if display == "PLATE" else 2)
    for material in materials:
        nodes = material.node_tree.nodes
        (cut,) = nodes["Material-Ausgabe"].inputs["Surface"].links
        clear, shown = (cut.from_node.inputs[number].links[0].from_node for number in (1, 2))
        assert clear.bl_idname == "ShaderNodeBsdfTransparent"
        assert shown == nodes["Lit"]
        assert shown.inputs[1].links[0].from_node == nodes["Émission"]


def test_a_duplicate_and_a_saved_file_have_their_maps(scene, lit, settle):
    kept = maps_of(lit)
    bpy.ops.object.select_all(action="DESELECT")
    for obj in (lit, lit.effigy.plate):
        obj.hide_select = False
        obj.select_set(True)
    bpy.ops.object.duplicate()
    settle()
    (double,) = (obj for obj in scene.objects if obj.effigy.is_face and obj != lit)
    own = {double.effigy.normal_map, double.effigy.light_map}
    assert not own & {lit.effigy.normal_map, lit.effigy.light_map}
    nodes = double.effigy.plate.data.materials[0].node_tree.nodes
    assert {nodes["Normal"].image, nodes["Light"].image} == own
    bpy.ops.wm.save_mainfile()
    name = lit.name
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    for found, wanted in zip(maps_of(bpy.data.objects[name]), kept, strict=True):
        np.testing.assert_allclose(found.astype(int), wanted.astype(int), atol=64)  # packed as half floats
