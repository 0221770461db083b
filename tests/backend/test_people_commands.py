# SPDX-License-Identifier: Apache-2.0
"""``effigy photo`` and ``effigy photo paste``."""

from __future__ import annotations

import json

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from effigy import api
from effigy.cli import app
from effigy.painting import pasted as pasted_frames
from effigy.people.paste import NoPlaceError
from effigy.people.stages import Unfinished
from effigy_protocol.png import read_texts
from tests.backend.people import PHOTO


def test_from_the_command_line(tmp_path, painted, default_model, monkeypatch):
    picture, out = tmp_path / "somebody.png", tmp_path / "somebody.person"
    iio.imwrite(picture, painted)
    arguments = [str(picture), "--out", str(out), "--model", "first-default", "--preview", str(tmp_path / "two.png")]
    done = CliRunner().invoke(app, ["photo", *arguments])
    assert done.exit_code == 0, done.output
    assert "dB" in done.output
    assert iio.imread(tmp_path / "two.png").shape == (128, 256, 3)
    pasted = tmp_path / "posed.png"
    arguments = [str(out), "--picture", str(picture), "--yaw", "15", "--out", str(pasted), "--model", "first-default"]
    done = CliRunner().invoke(app, ["photo", "paste", *arguments])
    assert done.exit_code == 0, done.output
    assert json.loads(read_texts(pasted.read_bytes())["Effigy person"])["provenance"]
    with pytest.raises(NoPlaceError, match="not the picture"):
        api.paste(out, PHOTO, model=default_model)
    keys, frames = tmp_path / "keys.csv", tmp_path / "posed"
    keys.write_text("frame,yaw\n3,15\n4,-15\n")
    arguments = [str(out), "--picture", str(picture), "--keys", str(keys), "--out", str(frames)]
    painted_anew, kept = "2 frames painted, 0 kept", "0 frames painted, 2 kept"
    for way, says in ((1, painted_anew), (1, kept), (2, painted_anew)):
        monkeypatch.setattr(pasted_frames, "_PASTING", way)
        done = CliRunner().invoke(app, ["photo", "paste", *arguments, "--model", "first-default"])
        assert done.exit_code == 0, done.output
        assert says in done.output
    assert np.array_equal(iio.imread(frames / "posed_0003.png"), iio.imread(pasted))
    done = CliRunner().invoke(app, ["paste", *arguments, "--yaw", "3"])  # its name of before
    assert done.exit_code == 2
    done = CliRunner().invoke(app, ["paint", "--latent", str(out), "--out", str(pasted), "--model", "first-default"])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["photo", str(PHOTO), "--out", str(out), "--model", "first-default"])
    assert done.exit_code == 2
    assert "PNG, JPEG or WebP" in done.output


@pytest.mark.parametrize("command", [["photo", "a.png", "-o", "a.person", "--preview", "a.png"],
                                     ["photo", "paste", "a.person", "--picture", "a.png", "-o", "./a.png"],
                                     ])  # fmt: skip
def test_the_picture_that_is_read_is_never_written_over(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(b"the only copy")
    ran = CliRunner(env={"COLUMNS": "200"}).invoke(app, command)
    assert ran.exit_code == 2
    assert "the picture itself" in ran.output
    assert (tmp_path / "a.png").read_bytes() == b"the only copy"


@pytest.mark.parametrize(
    ("has", "says"), [(True, "is not searched for again"), (False, "is damaged, and is begun anew")]
)
def test_what_was_found_before_a_stop_is_told(tmp_path, has, says):
    picture, out = tmp_path / "grey.png", tmp_path / "somebody.person"
    iio.imwrite(picture, np.full((64, 64, 3), 90, np.uint8))
    unfinished = Unfinished(out)
    if has:
        unfinished.put("found", torch.zeros(3))
    else:
        unfinished.path.write_bytes(b"damaged")
    arguments = ["photo", str(picture), "--out", str(out), "--model", "first-default"]
    ran = CliRunner(env={"COLUMNS": "400"}).invoke(app, arguments)
    assert ran.exit_code == 2
    assert says in ran.output
    assert unfinished.path.exists(), "as this picture shows no face"
