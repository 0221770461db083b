# SPDX-License-Identifier: Apache-2.0
"""Files of keys: read, interpolated, refused where they are none, and checked against person and model."""

from __future__ import annotations

import json
import re

import pytest

from effigy.faces import DEFAULT_BUNDLE
from effigy.faces.header import model_id
from effigy.painting import PaintingError, Shot, read_keys
from effigy.painting.sequences import write_frames

KEYS = "frame,yaw,jawOpen\n2,-10,\n4,10,0.5\n8,,1\n"


def test_keys_hold_and_are_interpolated(tmp_path):
    path = tmp_path / "keys.csv"
    path.write_text(KEYS)
    frames = read_keys(path).frames
    assert list(frames) == [2, 3, 4, 5, 6, 7, 8]
    assert [frames[f].yaw for f in (2, 3, 4, 8)] == [-10, 0, 10, 10]
    assert [frames[f].controls["jawOpen"] for f in (2, 4, 6, 8)] == [0.5, 0.5, 0.75, 1]
    assert frames[5].pitch is None


def test_lines_without_frames_are_counted(tmp_path):
    path = tmp_path / "keys.csv"
    path.write_text("yaw\n1\n\n2\n")
    assert {frame: moment.yaw for frame, moment in read_keys(path).frames.items()} == {1: 1, 2: 2}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "", "first line must name the columns"),
        ("a.csv", "frame\n1\n", "no column but frame"),
        ("a.csv", "frame,yaw\n1\n", "line 2 has 1 cells"),
        ("a.csv", "frame,yaw\n1,x\n", "line 2, yaw: 'x' is no finite number"),
        ("a.csv", "frame,yaw\n1,nan\n", "'nan' is no finite number"),
        ("a.csv", "frame;yaw\n1;0\n", "separated by ';': save it with commas"),
        ("a.csv", "frame\tyaw\n1\t0\n", r"separated by '\t'"),
        ("a.csv", "frame,yaw\n1,0\n".encode("utf-16"), "no text in UTF-8"),
        ("a.csv", "frame," + "x" * 70_000, "line 1: there can be"),
        ("a.csv", "frame,yaw,pitch,a,b,c,d\n1,0,0,0,0,0,0\n1000000,1,1,1,1,1,1\n", "split it"),
        ("a.csv", 'frame,yaw\n"1,0\n2,3\n', "line 2 has 1 cells"),
        ("a.csv", "frame,yaw\n1.5,0\n", "must be a whole number"),
        ("a.csv", "frame,yaw\n,0\n", "must be a whole number"),
        ("a.csv", "frame,yaw\n1,0\n1,0\n", "stands there twice"),
        ("a.csv", "frame,yaw\n", "holds no frames"),
        ("a.csv", "yaw,yaw\n1,2\n", "each once"),
        ("a.csv", "frame,yaw\n-900000,0\n900000,0\n", "more than 1000000"),
        ("a.csv", "frame,yaw\n1e300,0\n", "must be a whole number"),
        ("a.json", "[]", "must be an object"),
        ("a.json", '{"format": 2, "frames": {}}', '"format": 1'),
        ("a.json", '{"format": 1, "frames": {"1": 3}}', "frame 1 must be an object"),
        ("a.json", '{"format": 1, "frames": {"x": {}}}', "no finite number"),
        ("a.json", '{"format": 1, "frames": {"1": {"yaw": 1}, "1": {"yaw": 2}}}', "'1' stands twice in it"),
        ("a.json", '{"format": 1, "frames": {"1": {"controls": {"a": 1, "a": 2}}}}', "'a' stands twice in it"),
        ("a.json", '{"format": 1, "frames": {"1": {"yaw": true}}}', "no finite number"),
        ("a.json", '{"format": 1, "person": 3, "frames": {"1": {"yaw": 1}}}', "no latent in base64"),
        ("a.json", "{" * 100_000, "cannot be read as keys"),
    ],
)
def test_keys_that_are_none_say_why(tmp_path, name, text, said):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PaintingError, match=re.escape(said)):
        read_keys(tmp_path / name)


def test_keys_take_bounded_memory(tmp_path):
    (tmp_path / "a.json").write_text('{"format": 1, "x": [' + "[]," * 5_000_000 + '0], "frames": {"1": {}}}')
    with pytest.raises(PaintingError, match="more than 5000000 values"):
        read_keys(tmp_path / "a.json")


def test_keys_of_another_person_or_model_are_refused(default_model, tmp_path):
    person = default_model.open_seed(4)
    write_frames(default_model, {1: Shot(person)}, tmp_path / "one")
    keys = read_keys(tmp_path / "one" / "frames.json")
    keys.check(default_model, person)
    with pytest.raises(PaintingError, match="baked from another person"):
        keys.check(default_model, default_model.open_seed(5))
    path = tmp_path / "other.json"
    path.write_text(json.dumps({"format": 1, "model": "0123", "frames": {"1": {"yaw": 0}}}))
    with pytest.raises(PaintingError, match="belong to model 0123"):
        read_keys(path).check(default_model, person)
    path.write_text(json.dumps({"format": 1, "model": model_id(DEFAULT_BUNDLE), "frames": {"1": {"yaw": 0}}}))
    with pytest.raises(PaintingError, match="choose their own with --model default$"):
        read_keys(path).check(default_model, person)
