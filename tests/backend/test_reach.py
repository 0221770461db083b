# SPDX-License-Identifier: Apache-2.0
"""Ranges of controls end where edits stop."""

from __future__ import annotations

import copy

import pytest

from effigy.faces.face import FaceModel
from effigy.faces.latent import LatentError
from effigy.fitting.reach import reachable


def test_a_lower_end_that_edits_do_not_follow_becomes_what_they_reach(default_model):
    """The first default's lids are open at rest; its fit says that they can be opened by a quarter of a blink."""
    limited = copy.copy(default_model)
    limited.controls = {control.name: control for control in reachable(default_model)}
    changed = {name for name, control in default_model.controls.items() if limited.controls[name] is not control}
    assert changed == {"eyeBlinkLeft", "eyeBlinkRight"}
    assert list(limited.controls) == list(default_model.controls)

    def shown(model, person, name, value):
        edit = model.edit(person, 0.0, 0.0, {name: value})
        return model.own_expression(model.open_person(model.person(edit.ws.numpy())))[name]

    for name in changed:
        assert limited.controls[name].low == 0
        for seed in range(5):  # what they can show they still can, also those whose lids hang
            person, low = default_model.open_seed(seed), default_model.controls[name].low
            assert shown(limited, person, name, low) == pytest.approx(shown(default_model, person, name, low), abs=0.05)


def test_people_who_cannot_be_opened_do_not_count(default_model, monkeypatch):
    def refuse(self, seed, truncation=0.7):
        raise LatentError("no face")

    monkeypatch.setattr(FaceModel, "open_seed", refuse)
    assert reachable(default_model) == list(default_model.controls.values())
