# SPDX-License-Identifier: Apache-2.0
"""docs/extend/control.md: a control is one more line of data."""

from __future__ import annotations

import ast
import json

import numpy as np
import pytest

from effigy.geometry import ShapeModel, load_topology, topology
from effigy.geometry.expressions import name_expressions
from effigy_client.capture import retarget
from effigy_client.capture.tables import Capture
from effigy_protocol.arkit import SOURCES

from .pages import examples

CHIN = 8  # its landmark


@pytest.fixture()
def extended(tmp_path, monkeypatch):
    """The landmark set with the page's line."""
    data = json.loads((topology._FOLDER / "ibug68.json").read_text(encoding="utf-8"))
    data["actions"] |= json.loads(examples("control.md", "json")[0])
    (tmp_path / "ibug68.json").write_text(json.dumps(data), encoding="utf-8")
    monkeypatch.setattr(topology, "_FOLDER", tmp_path)
    return load_topology("ibug68")


def test_the_control_is_found_where_faces_move_so(extended):
    random = np.random.default_rng(0)
    basis = 0.002 * random.normal(size=(8, 3, 68))
    basis[3] = 0
    basis[3, 0, 4:13] = 0.05  # the jaw's contour moves sideways
    alpha = random.laplace(size=(4000, 8))
    model = ShapeModel(np.zeros((3, 68)), basis, np.ones(68))
    found = {expression.name: expression for expression in name_expressions(model, alpha, extended)}
    jaw = found["jawSide"]
    assert jaw.group == "mouth"
    assert jaw.low < 0 < jaw.high
    assert jaw.direction[3] / np.linalg.norm(jaw.direction) > 0.98
    assert jaw.direction @ jaw.reading == pytest.approx(1)
    rest, moved = model.shape(np.stack([np.zeros(8), jaw.direction]))
    assert (moved - rest)[0, CHIN] > 0.05
    for other in found.values():
        assert other is jaw or jaw.reading @ other.direction == pytest.approx(0, abs=1e-9)


def test_a_capture_drives_it():
    sources = ast.literal_eval(examples("control.md", "python")[0])
    assert SOURCES["jawSide"] == sources["jawSide"]
    channels = {"jawleft": np.array([0.0, 1.0, 0.0]), "jawright": np.array([0.0, 0.0, 0.5])}
    values = retarget.retarget(Capture(np.arange(3) / 30, channels), [retarget.Target("jawSide", -0.8, 1.0)])
    np.testing.assert_allclose(values["jawSide"], [0.0, 1.0, -0.4])
