# SPDX-License-Identifier: GPL-3.0-or-later
"""The scenes of recipes/scenes can be built in every Blender, and their cameras see the faces in them."""

from __future__ import annotations

import sys

import bpy
import pytest
from conftest import ROOT, addon

sys.path.append(str(ROOT))
from recipes.scenes import build, props


@pytest.fixture()
def as_artists_get_them(backend, preferences):
    names = ("head_height", "matte", "sharpen")
    before = {name: getattr(preferences, name) for name in names}
    for name in names:
        preferences.property_unset(name)
    yield
    for name, value in before.items():
        setattr(preferences, name, value)


def asked(scene) -> dict[str, tuple[float, float]]:
    """Yaw and pitch of every face, as the scene's camera sees it."""
    read, found = addon("blender.scene.reader").read_face, {}
    bpy.context.view_layer.update()
    for proxy in addon("blender.scene.queries").faces(scene):
        parameters = read(proxy, scene, bpy.context.evaluated_depsgraph_get()).parameters
        assert parameters.matte == "head"
        found[proxy.name] = parameters.yaw, parameters.pitch
    return found


@pytest.mark.parametrize("name", build.STILLS)
def test_a_scenes_camera_sees_its_faces_within_what_the_model_has_learnt(as_artists_get_them, backend, name):
    scene = build.STILLS[name]()
    faces = asked(scene)
    assert len(faces) == (2 if name == "interview" else 1)
    limits = [parameter.high for parameter in backend.welcome.pose]
    for proxy, angles in faces.items():
        assert addon("blender.scene.placing").is_seen(scene, bpy.data.objects[proxy])
        assert bpy.data.objects[proxy].effigy.sharpen, "a new face is blurred in an HD shot"
        assert all(abs(angle) < limit for angle, limit in zip(angles, limits, strict=True)), (proxy, angles)


def test_a_bone_and_a_tracked_empty_turn_their_heads(as_artists_get_them):
    scene, yaws = build.carried(), []
    for frame in (1, 12, 32):
        scene.frame_set(frame)
        yaws.append([yaw for yaw, _ in asked(scene).values()])
    on_bone, on_track = zip(*yaws, strict=True)
    assert max(on_bone) - min(on_bone) > 30
    assert max(on_track) - min(on_track) > 15


def test_a_blender_in_another_language_has_the_same_materials(scene):
    """It names the nodes of new data as this does."""
    wool = props.wool((0.1, 0.2, 0.3))
    props.node_of(wool, "BsdfPrincipled").name = "Prinzipien-BSDF"
    assert props.node_of(wool, "BsdfPrincipled").inputs["Normal"].is_linked
