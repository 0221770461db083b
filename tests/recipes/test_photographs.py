# SPDX-License-Identifier: Apache-2.0
"""Recipes that measure pictures say in a sentence what they cannot measure."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from imageio.v3 import imwrite

from recipes.people import attributes, photographs
from recipes.people import figures as people_figures
from recipes.people.inputs import renderer_of
from recipes.photo import figures


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["photographs.py", *map(str, arguments)])
    photographs.main()


def test_damaged_pictures_and_those_without_a_face_are_recorded(tmp_path, monkeypatch, capsys):
    pictures, record = tmp_path / "pictures", tmp_path / "record.jsonl"
    pictures.mkdir()
    (pictures / "damaged.jpg").write_bytes(b"\xff\xd8\xff no picture")
    imwrite(pictures / "grey.png", np.full((64, 64, 3), 128, np.uint8))
    run(monkeypatch, pictures, "--record", record, "--every", 1)
    problems = {row["file"]: row["problem"] for row in map(json.loads, record.read_text().splitlines())}
    assert "no face" in problems["grey.png"]
    assert "damaged.jpg" in problems["damaged.jpg"]
    assert "2 of which no person could be made" in capsys.readouterr().out


def test_a_folder_without_pictures_is_told(tmp_path, monkeypatch):
    for folder, said in ((tmp_path, "has 0 pictures"), (tmp_path / "none", "is no folder")):
        with pytest.raises(SystemExit, match=said):
            run(monkeypatch, folder, "--record", tmp_path / "record.jsonl")


def test_figures_of_pictures_without_faces_are_not_computed(default_model):
    class Blind:
        def read(self, picture, most=16):
            return []

    for verb in (figures.read, figures.carry):
        with pytest.raises(SystemExit, match="a face is read in 0 of"):
            verb(default_model, Blind(), 1)


def test_figures_of_a_model_that_is_not_there_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["figures.py", "--model", str(tmp_path / "none.effigy")])
    with pytest.raises(SystemExit, match=r"none\.effigy"):
        figures.main()


def test_models_heads_and_records_that_cannot_be_used_are_told(tmp_path, monkeypatch):
    imwrite(tmp_path / "grey.png", np.full((8, 8, 3), 128, np.uint8))
    (tmp_path / "record.jsonl").write_text('{"file": "grey.png"}\n{"fil')
    with pytest.raises(SystemExit, match=r"record\.jsonl, line 2, is no record"):
        run(monkeypatch, tmp_path, "--record", tmp_path / "record.jsonl", "--every", 1)
    (tmp_path / "head.npz").write_bytes(b"no head")
    for file, said in (("head.npz", "is no head that was baked"), ("none.npz", r"there is no file .*none\.npz")):
        with pytest.raises(SystemExit, match=f"{said}.*demo_face bake"):
            renderer_of(tmp_path / file, 64)
    with pytest.raises(SystemExit, match=r"none\.effigy"):
        people_figures.figures(str(tmp_path / "none.effigy"), 1, None, 0)
    monkeypatch.setattr(sys, "argv", ["attributes.py", str(tmp_path / "none.effigy")])
    with pytest.raises(SystemExit, match=r"none\.effigy"):
        attributes.main()
