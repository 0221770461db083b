# SPDX-License-Identifier: GPL-3.0-or-later
"""The side panel's texts; its rows stay in place when the texts change."""

from __future__ import annotations

from types import SimpleNamespace

import bpy
import pytest
from conftest import addon, follower_of

import effigy_client.state
from effigy_client.limits import Limits

LONG = "the backend ended with code 1: " + "a reason that nobody could tell in one line " * 4


class Rows:
    """A layout that counts the rows that are drawn and records their texts."""

    def __init__(self, words=None):
        self.words = [] if words is None else words

    def row(self, **_):
        return Parts(self.words)

    def column(self, **_):
        return self

    grid_flow = row

    def label(self, *, text, **_):
        self.words.append(text)

    def operator(self, name, **_):
        self.words.append(name)

    def prop(self, _, name, **__):
        self.words.append(name)

    def prop_decorator(self, *_):
        """Stands beside a slider."""


class Parts(Rows):
    """A row, whose parts are beside each other."""

    def __init__(self, words):
        words.append("a row")
        super().__init__([])


def rows(name):
    layout = Rows()
    getattr(bpy.types, name).draw(SimpleNamespace(layout=layout), bpy.context)
    return layout.words


def test_no_state_of_a_face_moves_the_rows_below_it(scene, face, settle, monkeypatch):
    settle()
    session = addon("blender.pictures.session").session
    run, heights, said = follower_of(face), set(), {}
    bpy.ops.effigy.bake()
    states = {
        "exact": {"is_exact": True, "milliseconds": 15.0, "rate": 20.0},
        "first": {"is_exact": False, "milliseconds": 0.0},
        "missed": {"is_exact": True, "limits": Limits((), ("eyeBlinkRight",))},
        "preview": {"is_exact": False},
        "behind": {"is_exact": True, "wanted": "what no picture has followed yet"},
        "limited": {"wanted": run.shown, "limits": Limits(("yaw", "pitch", "jawOpen", "mouthSmile", "eyeBlinkLeft"))},
        "wrong": {"problem": LONG},
        "stale": {"problem": "", "source": "BAKED", "stale": ["turn", "expression"]},
        "baked": {"source": "BAKED", "stale": []},
    }
    for name, values in states.items():
        face.effigy.source = values.pop("source", "LIVE")
        monkeypatch.setattr(addon("blender.pictures.stale"), "parts", lambda _, stale=values.pop("stale", []): stale)
        for attribute, value in values.items():
            setattr(run, attribute, value)
        said[name] = rows("EFFIGY_PT_face")
        heights.add(len(said[name]))
    with monkeypatch.context() as patched:
        patched.setattr(addon("blender.pictures.activity").activity, "is_painting_range", True)
        said["baking"] = rows("EFFIGY_PT_face")
        heights.add(len(said["baking"]))
    monkeypatch.setattr(type(session), "is_ready", False)
    face.effigy.source, run.problem = "LIVE", ""
    said["away"] = rows("EFFIGY_PT_face")
    assert {*heights, len(said["away"])} == {len(said["exact"])}, said
    assert "Exact: what a render shows" in said["exact"]
    for name in ("behind", "baking", "limited", "missed"):
        assert not any("Exact" in text for text in said[name]), f"{name}: this is not exactly what was asked"
    assert "Limited, as a render shows it" in said["limited"]
    assert {"Limited, as a render shows it", "Not reached: eyeBlinkRight"} <= {*said["missed"]}
    assert {"Stale: bake again", "Now another turn, another expression"} <= {*said["stale"]}


@pytest.mark.parametrize("phase", ["CONNECTING", "LOADING", "READY", "LOST", "REFUSED", None])
def test_no_state_of_the_backend_moves_the_rows_below_it(scene, backend, monkeypatch, phase):
    session = addon("blender.pictures.session").session
    expected = len(rows("EFFIGY_PT_backend"))
    for text in ("", "short", LONG):
        monkeypatch.setattr(session, "problem", text)
        state = (
            effigy_client.state.State(effigy_client.state.Phase[phase], text, text, session.welcome)
            if phase is not None
            else None
        )
        with monkeypatch.context() as patched:
            patched.setattr(type(session), "state", state)
            drawn = rows("EFFIGY_PT_backend")
            assert len(drawn) == expected, drawn
            whole = bpy.types.EFFIGY_PT_messages
            assert whole.poll(bpy.context) == (text == LONG)
            if text == LONG:
                assert any(row.endswith(" …") for row in drawn), drawn
                told = Rows()
                whole.draw(SimpleNamespace(layout=told), bpy.context)
                assert "one line" in " ".join(told.words).rsplit("nobody", 1)[1], "the end of it is not told"


def test_the_headers_tell_what_stays_to_be_known_when_a_panel_is_closed(scene, face, settle):
    settle()
    heads = {}
    for name in ("EFFIGY_PT_backend", "EFFIGY_PT_face"):
        layout = Rows()
        getattr(bpy.types, name).draw_header_preset(SimpleNamespace(layout=layout), bpy.context)
        heads[name] = layout.words
    assert heads == {"EFFIGY_PT_backend": ["Ready"], "EFFIGY_PT_face": [face.name]}


def test_what_few_sessions_need_is_closed_and_stands_below_the_sliders():
    first = ["EFFIGY_PT_backend", "EFFIGY_PT_face", "EFFIGY_PT_pose"]
    panels = addon("blender.ui.panel")._CLASSES
    assert [panel.__name__ for panel in panels[:3]] == first
    inner = [panel for panel in panels if getattr(panel, "bl_parent_id", "")]
    assert len(inner) > 5
    for panel in inner:
        closed = "DEFAULT_CLOSED" in getattr(panel, "bl_options", ())
        assert closed == (panel.__name__ not in first), panel


def test_no_state_of_the_cache_moves_the_rows_below_it(scene, face, settle):
    settle()
    run, heights = addon("blender.pictures.runs").run_of(face).cached, []
    for run.state, run.differs in (("", []), ("fresh", []), ("stale", ["person", "turn", "expression"])):
        drawn = rows("EFFIGY_PT_animation")
        heights.append(len(drawn))
    assert len(set(heights)) == 1
    assert "Stale: cached with another person, another turn, another expression" in drawn


def test_words_on_the_view_transform_and_on_saving_stand_below_all_buttons(scene, face):
    scene.view_settings.view_transform = "Standard"
    without = rows("EFFIGY_PT_render")
    scene.view_settings.view_transform = "Filmic"
    with_words = rows("EFFIGY_PT_render")
    assert with_words[: len(without)] == without
    assert len(with_words) > len(without)
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)  # which was never saved
    assert bpy.ops.effigy.add_face(seed=4) == {"FINISHED"}
    bpy.context.scene.view_settings.view_transform = "Standard"
    unsaved = rows("EFFIGY_PT_render")
    assert unsaved[: len(without)] == without
    assert "save it first" in " ".join(unsaved[len(without) :])


def test_a_scene_without_a_face_is_told_to_add_one(scene, face):
    bpy.context.view_layer.objects.active = None
    bpy.ops.effigy.add_face(seed=5)  # with two faces selected, neither is meant
    bpy.context.view_layer.objects.active = None
    assert "Select a face" in " ".join(rows("EFFIGY_PT_face"))
    for proxy in [obj for obj in scene.objects if obj.effigy.is_face]:
        bpy.context.view_layer.objects.active = proxy
        bpy.ops.effigy.remove_face()
    assert "no face yet: add one" in " ".join(rows("EFFIGY_PT_face"))
    bpy.ops.effigy.disconnect()
    assert "no face yet: start the backend" in " ".join(rows("EFFIGY_PT_face"))


def test_the_number_of_a_person_is_called_what_one_enters_to_get_them(face):
    layout = Rows()
    layout.row = lambda **_: layout  # what is beside each other counts, too
    bpy.types.EFFIGY_PT_identity.draw(SimpleNamespace(layout=layout), bpy.context)
    assert "The person of seed 4" in layout.words
