# SPDX-License-Identifier: Apache-2.0
"""OpenEXR files: what lies in them is the picture in linear light and its passes, and they say what they show."""

from __future__ import annotations

import io
import json

import numpy as np
import OpenEXR
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import effigy
from effigy.cli import app
from effigy.faces import load_face_model
from effigy.matting.foreground import to_linear
from effigy.painting import Layers, Moment, PaintingError
from effigy_protocol import ProtocolError
from effigy_protocol.exr import read_text
from effigy_protocol.messages import Synthesize
from effigy_protocol.record import Record, shows

LAYERS = ("normal", "depth", "albedo")


@pytest.fixture(scope="module")
def painting(planes_bundle):
    return load_face_model(planes_bundle, "cpu")


def read(data):
    """The channels of a file, by name; and its header."""
    file = OpenEXR.File(io.BytesIO(bytes(data)), separate_channels=True)
    return {name: channel.pixels.astype(float) for name, channel in file.channels().items()}, file.header()


def layer(channels, name, letters):
    return np.stack([channels[f"{name}{letter}"] for letter in letters], axis=-1)


@pytest.mark.parametrize("matte", ["none", "head"])
@pytest.mark.parametrize("which", ["default_model", "painting"])
def test_a_file_has_the_picture_in_linear_light_and_its_passes(work, request, which, matte):
    model = request.getfixturevalue(which)
    anchor = model.open_seed(3, 0.7)
    asked = [
        Synthesize(anchor.key, 9.0, 0.0, {"jawOpen": 0.3}, "final", "exr", 0, False, LAYERS, matte, 0.1, 1.5),
        Synthesize(anchor.key, 9.0, 0.0, {"jawOpen": 0.3}, "final", "rgba8", 0, False, LAYERS, matte),
    ]
    file, plain = work(model, asked)
    channels, header = read(file.data)
    assert (file.passes, file.exact, file.height, file.width) == ({}, True, 128, 128)
    rgba = np.frombuffer(plain.data, np.uint8).reshape(128, 128, 4) / 255
    assert ("A" in channels) == (matte == "head")
    alpha = channels.get("A", np.ones((128, 128)))
    np.testing.assert_allclose(alpha, rgba[..., 3], atol=1 / 255)
    np.testing.assert_allclose(layer(channels, "", "RGB"), to_linear(rgba[..., :3]) * alpha[..., None], atol=8e-3)
    given = {name: np.frombuffer(array.data, "<f2").reshape(array.shape) for name, array in plain.passes.items()}
    np.testing.assert_allclose(layer(channels, "Albedo.", "RGB"), given["albedo"], rtol=2e-3, atol=1e-3)
    painted = model.finals(model.edit(anchor, 9.0, 0.0, {"jawOpen": 0.3}).ws[None])
    opacity = painted.bytes("head")[0, ..., 3] / 255 if painted.has_alpha else np.ones((128, 128))
    solid, clear = opacity > 0.9, painted.is_empty(matte)
    normal, wanted = layer(channels, "Normal.", "XYZ"), given["normal"][solid].astype(float)
    if painted.has_alpha:  # painted normals are times alpha, and lean to the viewer by the rest
        wanted[:, 2] += 0.2 * (1 - opacity[solid])
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(normal[solid], wanted, atol=8e-3)
    np.testing.assert_allclose(np.linalg.norm(normal, axis=2), 1, atol=2e-3)  # also where there is next to nothing
    depth, shown = channels["Depth.Z"], solid & ~clear
    np.testing.assert_allclose((1.5 - depth[shown]) / 0.1 * opacity[shown], given["depth"][shown, 0], atol=0.02)
    head = depth[(opacity > 0.5) & ~clear]
    assert ((depth[~clear] >= head.min() - 1e-3) & (depth[~clear] <= head.max() + 1e-3)).all()
    assert (depth[clear] == np.float32(1e10)).all()
    assert clear.any() == (matte == "head" or painted.has_alpha)
    np.testing.assert_allclose(header["chromaticities"][:2], (0.64, 0.33), atol=1e-6)


def test_a_file_says_what_it_shows_as_its_client_would(work, default_model, tmp_path):
    anchor = default_model.open_seed(3, 0.7)
    controls = (("jawOpen", 0.3), ("eyeBlinkLeft", 0.2))
    asked = Synthesize(anchor.key, 9.0, 1.0, dict(controls), "final", "exr", passes=("depth",), unit=0.1, distance=2.0)
    [frame] = work(default_model, [asked])
    made_of = default_model.model_id, anchor.latent, 9.0, 1.0, controls, "exr", "none", ("depth",)
    (tmp_path / "a.exr").write_bytes(frame.data)
    assert shows(tmp_path / "a.exr", Record.of(*made_of, (0.1, 2.0)).digest)
    assert not shows(tmp_path / "a.exr", Record.of(*made_of, (0.1, 3.0)).digest)
    said = json.loads(read_text(bytes(frame.data), "Effigy"))
    assert (said["passes"], said["metres"], said["encoding"]) == (["depth"], [0.1, 2.0], "exr")
    (tmp_path / "a.exr").write_bytes(bytes(frame.data)[:30])
    assert not shows(tmp_path / "a.exr", Record.of(*made_of, (0.1, 2.0)).digest)


@given(st.binary(max_size=200))
def test_broken_headers_say_nothing(rest):
    for data in (rest, b"\x76\x2f\x31\x01\x02\0\0\0" + rest, b"\x76\x2f\x31\x01\x02\0\0\0Effigy\0string\0" + rest):
        assert isinstance(read_text(data, "Effigy"), str)


@pytest.mark.parametrize("metres", [{"unit": 0.0}, {"unit": -1.0}, {"distance": 1e9}])
def test_a_scale_that_no_head_has_is_refused(metres):
    with pytest.raises(ProtocolError, match="in metres"):
        Synthesize("i", 0.0, 0.0, {}, **metres)


def test_frames_for_a_compositor_go_on_where_they_were_stopped(default_model, tmp_path):
    person, moments = default_model.open_seed(4), {1: Moment(yaw=1.0), 2: Moment(yaw=2.0)}
    out, layers = tmp_path / "out", Layers(("depth",), distance=1.0)
    film = {"who": person, "out": out, "matte": "head", "model": default_model}
    assert effigy.film(moments, layers=layers, **film).painted == 2
    assert sorted(path.name for path in out.iterdir()) == ["frames.json", "out_0001.exr", "out_0002.exr"]
    assert effigy.film(moments, layers=layers, **film).kept == 2
    assert effigy.film(moments, layers=Layers(("depth",), distance=2.0), **film).painted == 2
    with pytest.raises(PaintingError, match="cannot hold layers"):
        effigy.film(moments, person, out=tmp_path / "a.mp4", layers=layers, model=default_model)
    with pytest.raises(PaintingError, match="layers are normal, depth, albedo, light, not smell"):
        effigy.paint(person, layers=Layers(("smell",)), model=default_model)


def test_the_command_line_writes_layers(tmp_path, monkeypatch, default_model):
    monkeypatch.setattr("effigy.api.stills.load", lambda model, device="auto": default_model)

    def run(*more):
        ran = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["paint", "--seed", "4", *more])
        return ran.exit_code, " ".join(ran.output.split())

    path = tmp_path / "a.exr"
    assert run("--out", str(path), "--passes", "normal, depth", "--matte", "head")[0] == 0
    assert set(read(path.read_bytes())[0]) == {*"RGBA", *(f"Normal.{c}" for c in "XYZ"), "Depth.Z"}
    for more, said in (
        (["--out", "a.png", "--passes", "depth"], "end --out with .exr"),
        (["--out", "a.exr", "--passes", "smell"], "there are normal, depth, albedo, light"),
        (["--out", "a.exr", "--passes", "depth,depth"], "name each pass once"),
    ):
        code, output = run(*more)
        assert code != 0
        assert said in output
