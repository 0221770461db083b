# SPDX-License-Identifier: Apache-2.0
"""Baking and data sets, at the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from recipes.demo_face.__main__ import app, main
from recipes.demo_face.dataset import CHUNK, array, contact_sheet, pair_vectors, render_set
from recipes.demo_face.head import EXPRESSIONS, IDENTITY_MODES
from recipes.demo_face.parameters import sample
from recipes.demo_face.planes import PLANES
from recipes.demo_face.renderer import Renderer

from ..closeness import assert_same

SUMMED = IDENTITY_MODES + len(EXPRESSIONS)  # for each vertex


def test_a_wrong_folder_is_told_in_one_line(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["demo_face", "bake", str(tmp_path), str(tmp_path / "head.npz")])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "head.npz").exists()


def test_a_data_set_goes_on_where_it_stopped(head: Path, renderer: Renderer, tmp_path: Path):
    vectors = sample(CHUNK + 3, 4)
    out = tmp_path / "set"
    out.mkdir()
    # As if the first chunk had been rendered and the machine switched off.
    array(out / "pictures.npy", (len(vectors), 16, 16, PLANES), np.uint8)[0] = 77
    array(out / "done.npy", (2,), np.bool_)[0] = True
    np.save(out / "vectors.npy", vectors)
    render_set(head, out, vectors, 16)
    pictures, landmarks = np.load(out / "pictures.npy"), np.load(out / "landmarks.npy")
    assert (pictures[0] == 77).all()
    assert (pictures[CHUNK:].reshape(3, -1).std(axis=1) > 5).all()
    assert_same(4 * landmarks[-1], renderer.landmarks(vectors[-1]), SUMMED)
    with pytest.raises(ValueError, match="other parameters"):
        render_set(head, out, sample(CHUNK + 3, 5), 16)


def test_a_contact_sheet_has_room_for_all():
    pictures = np.zeros((5, 4, 6, 3), np.uint8)
    assert contact_sheet(pictures, 3).shape == (10, 22, 3)


def test_pairs_are_rendered_at_the_command_line(head: Path, tmp_path: Path):
    result = CliRunner().invoke(app, ["render", str(head), str(tmp_path), "--count", "5", "--size", "16", "--pairs"])
    assert result.exit_code == 0, result.output
    assert np.array_equal(np.load(tmp_path / "vectors.npy"), pair_vectors(3, 1))
    both = CliRunner().invoke(app, ["render", str(head), str(tmp_path / "both"), "--pairs", "--people", "2"])
    assert isinstance(both.exception, ValueError)
    assert not (tmp_path / "both").exists()
