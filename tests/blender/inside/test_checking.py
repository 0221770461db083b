# SPDX-License-Identifier: GPL-3.0-or-later
"""Exact Pixels, and the check before rendering."""

from __future__ import annotations

import math
import os
import struct
from dataclasses import replace
from types import SimpleNamespace

import bpy
from conftest import addon


def test_exact_pixels_leaves_nothing_that_changes_them(scene, face):
    view, preflight = scene.view_settings, addon("blender.ui.preflight")
    view.use_curve_mapping, view.exposure, view.gamma = True, 0.5, 1.2
    if bpy.app.version >= (4, 3, 0):
        view.use_white_balance = True
    scene.render.use_border, scene.render.use_motion_blur, scene.render.dither_intensity = True, True, 1.0
    face.effigy.camera.data.dof.use_dof = True
    texts = [finding.text for finding in preflight.findings(scene)]
    for word in ("by exposure 0.5, gamma 1.2, curves", "region", "Dithering", "Motion blur", "Depth of field"):
        assert [text for text in texts if word in text], (word, texts)
    bpy.context.view_layer.objects.active = face
    bpy.ops.effigy.exact_view()
    assert preflight.findings(scene) == []
    assert scene.display_settings.display_device == "sRGB"
    scene.render.use_border = True
    texts = [finding.text for finding in addon("blender.ui.preflight").findings(scene)]
    assert any("region" in text for text in texts)


def test_the_check_tells_what_would_spoil_the_output(scene, face, tmp_path, monkeypatch):
    def texts():
        return [f"{finding.level}: {finding.text}" for finding in addon("blender.ui.preflight").findings(scene)]

    bpy.ops.effigy.exact_view()
    assert texts() == []
    spoilt = tmp_path / "taken"
    spoilt.write_text("a file where a folder should be")
    output, scene.render.filepath = scene.render.filepath, str(spoilt / "render_")
    assert any(text.startswith("error") and "cannot be written to" in text for text in texts())
    scene.render.filepath = str(spoilt / "deeper" / "render_")
    assert any(text.startswith("error") and "cannot be written to" in text for text in texts())
    # A folder that is there and may not be written to; this test may run as root, who may.
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) == str(tmp_path) and allowed(path, mode))
    scene.render.filepath = f"{tmp_path}/"
    assert texts() == []
    scene.render.filepath = "/"
    assert any(text.startswith("error") and "cannot be written to" in text for text in texts())
    scene.render.filepath, scene.render.image_settings.file_format = output, "JPEG"
    assert any("JPEG changes pixels" in text for text in texts())
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_management = "OVERRIDE"
    scene.render.image_settings.view_settings.view_transform = "Raw"
    assert any("graded by the view transform Raw:" in text for text in texts())
    scene.render.image_settings.color_management = "FOLLOW_SCENE"
    scene.render.use_multiview = True
    assert any("Stereo" in text for text in texts())
    scene.render.use_multiview = False
    face.hide_render = False
    assert any("the proxy mesh renders over its picture" in text for text in texts())
    face.hide_render = True
    alone = bpy.data.collections.new("Alone")
    scene.collection.children.link(alone)
    for part, left in ((face, False), (face.effigy.plate, True)):  # the plate is what renders
        home = part.users_collection[0]
        alone.objects.link(part)
        home.objects.unlink(part)
        bpy.context.view_layer.layer_collection.children["Alone"].exclude = True
        bpy.context.view_layer.update()
        assert any("in no view layer" in text for text in texts()) == left
        assert not any(text.startswith("error") for text in texts())
        bpy.context.view_layer.layer_collection.children["Alone"].exclude = False


def test_a_studios_colours_without_a_standard_view_are_told(scene, face, capsys, monkeypatch):
    # What Blender raises for a name that its colour configuration does not have.
    exact = addon("blender.ui.exact")
    lacking = [replace(s, wanted="Un-tone-mapped") if s.path.endswith("transform") else s for s in exact.SETTINGS]
    monkeypatch.setattr(exact, "SETTINGS", lacking)
    scene.view_settings.exposure = 1.0
    assert bpy.ops.effigy.exact_view() == {"FINISHED"}
    assert "no Standard view" in capsys.readouterr().out
    assert scene.view_settings.exposure == 0


def test_the_checks_popup_takes_names_as_they_are(scene, face):
    preflight, shown = addon("blender.ui.preflight"), []
    menu = SimpleNamespace(layout=SimpleNamespace(label=lambda text, icon: shown.append(text)))
    preflight._draw_findings([preflight.Finding("error", "{a} stands in front of {}")], menu, bpy.context)
    assert shown == ["{a} stands in front of {}"]


def test_the_check_counts_how_far_a_persons_pictures_turn(scene, face):
    preflight = addon("blender.ui.preflight")
    far = preflight.session.welcome.pose[0].high + 1  # of the yaw
    header = b'{"turns": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}'
    face.rotation_euler.z = math.radians(far)
    for turns, is_beyond in ((None, True), (1.25, False), (0.8, True)):
        if turns is not None:
            face.effigy.set_latent(len(header).to_bytes(8, "little") + header + struct.pack("<d", turns))
        found = [finding.text for finding in preflight.findings(scene) if "yaw is beyond" in finding.text]
        assert bool(found) == is_beyond, (turns, found)
        assert turns is None or not is_beyond or "this person" in found[0]
