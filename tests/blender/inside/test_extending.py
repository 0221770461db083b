# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/extend/operator.md: its operator works in real Blender as it stands on the page."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import bpy
import pytest
from conftest import addon
from test_evaluated import assert_drawn

PAGE = Path(__file__).resolve().parents[3] / "docs" / "extend" / "operator.md"


@pytest.fixture()
def soften(monkeypatch):
    """The page's operator, registered: in a module with the names of the one that the page puts it into."""
    operator, button = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    pose = addon("blender.ui.pose")
    module = types.ModuleType(f"{pose.__package__}.extended")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    module.__dict__.update({name: value for name, value in vars(pose).items() if not name.startswith("__")})
    exec(compile(operator, str(PAGE), "exec"), module.__dict__)
    bpy.utils.register_class(module.EFFIGY_OT_soften)
    yield button
    bpy.utils.unregister_class(module.EFFIGY_OT_soften)


def values(face):
    return addon("blender.scene.controls").values_of(face)


def test_the_pages_operator_halves_the_expression_and_leaves_the_pose(scene, face, soften):
    bpy.ops.effigy.randomise(seed=3)
    before, turn = values(face), face.matrix_world.copy()
    assert bpy.ops.effigy.soften() == {"FINISHED"}
    assert values(face) == pytest.approx({name: value / 2 for name, value in before.items()})
    assert face.matrix_world == turn
    assert bpy.ops.effigy.soften(factor=0.0) == {"FINISHED"}
    assert set(values(face).values()) == {0.0}
    assert_drawn("soften")


def test_it_keys_what_it_changes_with_auto_keying_on(scene, face, soften):
    bpy.ops.effigy.randomise(seed=3)
    scene.tool_settings.use_keyframe_insert_auto = True
    try:
        assert bpy.ops.effigy.soften() == {"FINISHED"}
    finally:
        scene.tool_settings.use_keyframe_insert_auto = False
    assert face.data.shape_keys.animation_data.action is not None


def test_it_is_grey_without_a_face(scene, soften):
    assert not bpy.ops.effigy.soften.poll()


def test_the_pages_button_calls_it_with_an_icon_that_exists(soften):
    name, icon = re.fullmatch(r'grid\.operator\("effigy\.(\w+)", icon="(\w+)"\)\n', soften).groups()
    assert name in dir(bpy.ops.effigy)
    assert icon in bpy.types.UILayout.bl_rna.functions["operator"].parameters["icon"].enum_items
