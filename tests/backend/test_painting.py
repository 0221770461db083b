# SPDX-License-Identifier: Apache-2.0
"""Pictures without Blender: keys, people, sheets, sequences, films, and the examples of docs/api.md."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from typer.testing import CliRunner

import effigy
from effigy import api
from effigy.cli import app
from effigy.faces.latent import latent_to_bytes
from effigy.painting import Moment, PaintingError, Shot, paint_shots, read_keys
from effigy.painting.blender import bake_blend
from effigy.painting.interpolation import between
from effigy.painting.sequences import write_film, write_frames
from effigy.painting.sheets import paint_sheet
from effigy_protocol.png import read_texts

API = Path(__file__).resolve().parents[2] / "docs" / "api.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", API.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture()
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner(env={"COLUMNS": "200"}).invoke(app, list(arguments))


@pytest.fixture()
def person(default_model):
    return default_model.open_seed(4)


def test_importing_effigy_imports_nothing_large():
    script = (
        "import effigy, sys; large = {'torch', 'numpy', 'PIL', 'zmq'} & sys.modules.keys(); "
        "print(effigy.__version__, large, 'paint' in dir(effigy))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    assert ran.stdout.split(maxsplit=1)[1].strip() == "set() True"


def test_effigy_offers_every_verb_of_the_api():
    assert set(effigy.__all__) == {"__version__", *api.__all__}
    assert all(getattr(effigy, name) is getattr(api, name) for name in api.__all__)


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"align": "modell"}, "not as 'modell'"),
        ({"preview": "seen.jpg"}, "no .png"),
        ({"out": "no-such-folder/anna.person"}, "no folder no-such-folder"),
    ],
)
def test_what_a_photo_is_asked_wrongly_is_said_before_any_work(asked, problem):
    with pytest.raises(PaintingError, match=problem):
        effigy.photo(b"", **asked, model="no-such-model")


def test_what_effigy_does_not_have_is_no_attribute():
    with pytest.raises(AttributeError, match="has no attribute 'paintings'"):
        _ = effigy.paintings


def test_the_examples_run(run, tmp_path, default_model):
    for kind, text in BLOCKS:
        if kind == "csv":
            (tmp_path / "keys.csv").write_text(text, encoding="utf-8")
        elif kind == "json":
            (tmp_path / "keys.json").write_text(text, encoding="utf-8")
            assert read_keys(tmp_path / "keys.json").frames[3].controls == {"jawOpen": pytest.approx(0.48)}
        elif kind == "python":
            exec(compile(text, str(API), "exec"), {})
        else:
            for line in text.splitlines():
                ran = run(*shlex.split(line)[1:])
                assert ran.exit_code == 0, f"{line}\n{ran.output}"
    assert {kind for kind, _ in BLOCKS} == {"sh", "csv", "json", "python"}
    again, walk = (sorted((tmp_path / name).glob("*.png")) for name in ("again", "walk"))
    assert len(walk) == 6
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in walk]
    assert effigy.paint(4, yaw=20, controls={"jawOpen": 0.4}).tobytes() == iio.imread(tmp_path / "face.png").tobytes()


def test_a_picture_does_not_depend_on_its_company(default_model, person):
    moments = [Moment(yaw=yaw, controls={"jawOpen": 0.2}) for yaw in (-9, 0, 9, 12, 17)]
    together = list(paint_shots(default_model, [Shot(person, moment) for moment in moments]))
    alone = [next(paint_shots(default_model, [Shot(person, moment)])) for moment in reversed(moments)]
    assert [each.file() for each in together] == [each.file() for each in reversed(alone)]


def test_a_matte_is_in_the_picture_the_file_and_its_record(run, default_model, person, tmp_path):
    whole = effigy.paint(person, yaw=9, model=default_model)
    cut = effigy.paint(person, yaw=9, matte="head", model=default_model, out=tmp_path / "cut.png")
    assert (whole.shape, cut.shape) == ((128, 128, 3), (128, 128, 4))
    solid = cut[..., 3] == 255
    assert 0.1 < solid.mean() < 0.9
    np.testing.assert_array_equal(cut[solid][:, :3], whole[solid])
    np.testing.assert_array_equal(iio.imread(tmp_path / "cut.png"), cut)
    assert json.loads(read_texts((tmp_path / "cut.png").read_bytes())["Effigy"])["matte"] == "head"
    sheet = effigy.sheet([person], captions=False, matte="head", model=default_model)
    assert (sheet[0, 0] == 255).all(), "films and sheets are on white"
    with pytest.raises(effigy.PaintingError, match="no matte is called 'hat'"):
        effigy.paint(person, matte="hat", model=default_model)
    said = " ".join(run("paint", "--seed", "4", "--matte", "hat", "--out", "a.png").output.split())
    assert "--matte 'hat' is unknown: choose none or head" in said


def test_a_film_keeps_the_matte_of_its_keys_and_paints_anew_what_has_another(default_model, person, tmp_path):
    film = partial(effigy.film, who=person, out=tmp_path / "out", model=default_model)
    moments = {1: Moment(yaw=1.0), 2: Moment(yaw=2.0)}
    assert film(moments, matte="head").painted == 2
    assert film(tmp_path / "out" / "frames.json").kept == 2, "the keys say what matte they were baked with"
    assert film(tmp_path / "out" / "frames.json", matte="none").painted == 2
    assert film(tmp_path / "out" / "frames.json").kept == 2


def test_controls_add_up_alike_in_any_order(default_model, person):
    asked = {name: 0.3 * control.high for name, control in default_model.controls.items()}
    one = default_model.edit(person, 5, 5, asked)
    other = default_model.edit(person, 5, 5, dict(reversed(asked.items())))
    assert one.ws.numpy().tobytes() == other.ws.numpy().tobytes()


def test_zero_is_the_person(default_model, person):
    (painted,) = paint_shots(default_model, [Shot(person, Moment(controls={"jawOpen": 0.0}))])
    assert painted.picture.tobytes() == default_model.paint(person.ws[None])[0].tobytes()
    assert painted.record.yaw == pytest.approx(person.pose.yaw, abs=1e-4)


def test_a_sequence_paints_only_what_is_missing_or_another(default_model, person, tmp_path):
    shots = {frame: Shot(person, Moment(yaw=frame)) for frame in (1, 2, 3)}
    folder = tmp_path / "turn"
    assert write_frames(default_model, shots, folder).painted == 3
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "turn_0002.png").write_bytes(files["turn_0002.png"][:2000])  # the text at its beginning is whole
    (folder / "turn_0003.png").unlink()
    again = write_frames(default_model, shots | {1: Shot(person, Moment(yaw=-1))}, folder)
    assert (again.painted, again.kept) == (2, 1)
    said = json.loads(read_texts((folder / "turn_0001.png").read_bytes())["Effigy"])
    assert said["yaw"] == -1
    assert sorted(path.name for path in folder.iterdir()) == sorted(files)


def test_a_curve_leads_through_its_people(default_model):
    people = [default_model.open_seed(seed) for seed in (1, 5, 9)]
    passed = list(between(default_model, people, 9))
    assert [passed[i].latent for i in (0, 4, 8)] == [each.latent for each in people]
    loop = list(between(default_model, people, 6, loop=True))
    assert [loop[i].latent for i in (0, 2, 4)] == [each.latent for each in people]
    assert len({each.latent for each in loop}) == 6
    with pytest.raises(PaintingError, match="at least two people"):
        list(between(default_model, people[:1], 9))


def test_a_sheet_has_a_row_for_each_person(default_model, person):
    height, width = default_model.generator.resolution
    people = {"one": person, "two": default_model.open_seed(5)}
    sheet = paint_sheet(default_model, people, {"yaw": [-10, 0, 10]}, captions=False)
    assert sheet.shape == (2 * height + 2, 3 * width + 4, 3)
    assert (sheet[:height, -width:] == next(paint_shots(default_model, [Shot(person, Moment(yaw=10))])).picture).all()
    assert paint_sheet(default_model, people, {}, tile=40).shape[1] == 82
    with pytest.raises(PaintingError, match="two axes at most"):
        paint_sheet(default_model, people, {name: [0, 0.1] for name in ("yaw", "pitch", "jawOpen")})


def test_a_film_has_its_frames(default_model, person, tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    path = tmp_path / "turn.mp4"
    written = write_film(default_model, {1: Shot(person), 2: Shot(person, Moment(yaw=9))}, path, fps=24)
    assert written.painted == 2
    assert ffmpeg.count_frames_and_secs(str(path))[0] == 2
    assert [each.name for each in tmp_path.iterdir()] == ["turn.mp4"]


def test_a_film_that_cannot_be_painted_is_refused_in_one_sentence(default_model, person, tmp_path, caplog):
    pytest.importorskip("imageio_ffmpeg")
    with pytest.raises(PaintingError, match="no control halo"):
        write_film(default_model, {1: Shot(person, Moment(controls={"halo": 1.0}))}, tmp_path / "turn.mp4", fps=24)
    assert not caplog.records, "imageio-ffmpeg adds a sentence of its own on stderr"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", [1, 1000, None])
def test_a_film_that_ffmpeg_could_not_end_is_none(default_model, person, tmp_path, monkeypatch, missing):
    """As on a full disk, of which imageio-ffmpeg does not tell."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg")

    class Cut:
        def __init__(self, path, *arguments, write=ffmpeg.write_frames, **options):
            self.path, self.frames = path, write(path, *arguments, **options)
            self.send = self.frames.send

        def close(self):
            self.frames.close()
            os.truncate(self.path, 0 if missing is None else os.path.getsize(self.path) - missing)

    monkeypatch.setattr(ffmpeg, "write_frames", Cut)
    with pytest.raises(PaintingError, match="could not write .*has room"):
        write_film(default_model, {1: Shot(person)}, tmp_path / "turn.mp4", fps=24)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="the program is a script of the shell")
def test_a_blender_that_ends_well_without_a_bake_is_told(tmp_path):
    (tmp_path / "face.blend").write_text("no scene")
    program = tmp_path / "blender"
    program.write_text("#!/bin/sh\necho Error: Failed to read file\n")
    program.chmod(0o755)
    with pytest.raises(PaintingError, match="without a bake of .*face.blend:\nError: Failed to read file"):
        bake_blend(tmp_path / "face.blend", program)


def test_a_latent_is_read_from_both_kinds_of_file(default_model, person, tmp_path):
    rows = person.ws.numpy()
    np.savez(tmp_path / "w.npz", w=rows[0])
    (tmp_path / "w.latent").write_bytes(latent_to_bytes(rows))
    for name in ("w.npz", "w.latent"):
        assert effigy.person(latent=tmp_path / name, model=default_model).latent == person.latent
    np.savez(tmp_path / "bad.npz", w=np.zeros(3))
    (tmp_path / "bad.latent").write_bytes(b"what")
    for name in ("bad.npz", "bad.latent", "absent"):
        with pytest.raises(PaintingError, match=name):
            effigy.person(latent=tmp_path / name, model=default_model)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("paint --out x.png", "say who"),
        ("paint --seed 4 --latent w --out x.png", "there is no latent's file w"),
        ("paint --seed -1 --out x.png", "seeds run from 0"),
        ("paint --seed 4 --out x.jpg", "is no .png file"),
        ("paint --seed 4 --set jawOpen --out x.png", "is not NAME=VALUE"),
        ("paint --seed 4 --set jawOpen=.1 --set jawOpen=.2 --out x.png", "gives jawOpen twice, .1 and .2"),
        ("sheet --set jawOpen=0,1 --set jawOpen=0:1:3 --out x.png", "gives jawOpen twice, 0,1 and 0:1:3"),
        ("sheet --yaw 1 --set yaw=2 --out x.png", "gives yaw twice, 1 and 2"),
        ("paste x.person --set jawOpen=.1 --set jawOpen=.2 --out x.png", "gives jawOpen twice, .1 and .2"),
        ("paint --seed 4 --set wings=1 --out x.png", "this model has no control wings: its controls are"),
        ("paint --seed 4 --yaw nan --out x.png", "yaw nan is out of range"),
        ("paint --seed 4 --depth 12 --out x.png", "8 or 16 bits"),
        ("paint --seed 4 --model nowhere --out x.png", "nowhere is not a face model"),
        ("paint --seed 4 --device gpu --out x.png", "there is no device 'gpu'"),
        ("paint --seed 4 --out nowhere/x.png", "cannot be written"),
        ("sheet --seeds 9-1 --out x.png", "numbers and ranges"),
        ("sheet --seeds 1,0-2 --out x.png", "names 1 twice"),
        ("sheet --yaw 0:9 --out x.png", "FROM:TO:COUNT"),
        ("sheet --seeds 0-9999 --out x.png", "name at most 1000 numbers"),
        ("film --out x", "a file of keys, or --turntable"),
        ("film --turntable 0 --seed 4 --out x", "ask for 1 to"),
        ("film nowhere.csv --out x", "there is no file of keys nowhere.csv"),
        ("film --turntable 2 --out x", "give a seed or a latent"),
        ("film --turntable 2 --seed 4 --out x.avi", "neither an .mp4 nor a folder"),
        ("interpolate --seeds 4 --out x", "at least two people"),
        ("interpolate --seeds 4,5 --seconds nan --out x", "cannot be painted"),
        ("bake nowhere.blend", "there is no .blend nowhere.blend"),
        ("bake there.blend --blender nowhere", "there is no Blender nowhere"),
    ],
)
def test_what_cannot_be_painted_is_said(run, tmp_path, line, said):
    (tmp_path / "there.blend").touch()
    ran = run(*shlex.split(line))
    assert ran.exit_code == 2, ran.output
    assert said in ran.output
    assert "Traceback" not in ran.output
    assert [path.name for path in tmp_path.iterdir()] == ["there.blend"]
