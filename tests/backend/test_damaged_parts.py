# SPDX-License-Identifier: Apache-2.0
"""Parts of a bundle whose numbers are damaged, but whose checksums are right: they are refused when they are read."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from effigy.faces import BundleError, load_face_model, resolve_bundle
from effigy.faces.attributes import FILE as ATTRIBUTES
from effigy.faces.bundle import _read_controls
from effigy.faces.encoder import FILE as ENCODER
from effigy.faces.encoder import read_encoder
from effigy.faces.header import sha256
from effigy.faces.photo_map import FILE as PHOTO
from effigy.faces.photo_map import read_photo_map
from effigy.fitting import encoder_learning, photo_learning
from effigy.fitting.attribute_learning import learn_attributes
from effigy.fitting.attribute_sources import SourceError
from effigy.tensor_files import read_tensors, write_tensors

_HUGE = 1e300  # finite, but not in single precision
_DEFAULT = resolve_bundle("default")
_HEADER = json.loads((_DEFAULT / "model.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["eyes", "rest_eyes"])
@pytest.mark.parametrize("is_there", [True, False])
def test_a_photo_map_with_huge_or_half_its_eyes_is_refused(tmp_path: Path, name: str, is_there: bool) -> None:
    arrays = read_tensors(_DEFAULT / PHOTO)
    values = arrays.pop(f"photo.{name}")
    if is_there:
        arrays[f"photo.{name}"] = torch.full_like(values, _HUGE, dtype=torch.float64)
    write_tensors(tmp_path / PHOTO, arrays)
    controls = tuple(control["name"] for control in _HEADER["controls"])
    with pytest.raises((KeyError, ValueError), match=f"photo.{name}"):
        read_photo_map(tmp_path, _HEADER["photo"], controls)


@pytest.mark.parametrize("name", ["mean", "metric"])
def test_an_encoder_with_huge_numbers_is_refused(tmp_path: Path, name: str) -> None:
    arrays = read_tensors(_DEFAULT / ENCODER)
    arrays[f"encoder.{name}"] = torch.full_like(arrays[f"encoder.{name}"], _HUGE, dtype=torch.float64)
    write_tensors(tmp_path / ENCODER, arrays)
    with pytest.raises(ValueError, match=f"encoder.{name} holds"):
        read_encoder(tmp_path, _HEADER["encoder"], len(arrays["encoder.centre"]), None, torch.device("cpu"))


@pytest.mark.parametrize(
    ("part", "file", "mend"),
    [("photo", PHOTO, "learn-photos"), ("encoder", ENCODER, "learn-people"), ("attributes", ATTRIBUTES, "learn-attr")],
)
@pytest.mark.parametrize("is_told", [True, False])
def test_a_part_that_can_be_learnt_anew_is(tmp_path: Path, part: str, file: str, mend: str, is_told: bool) -> None:
    """What the advice names loads the bundle without that part, also where the checksum is that of the damage."""
    folder = tmp_path / "damaged.effigy"
    shutil.copytree(_DEFAULT, folder)
    write_tensors(folder / file, {"nothing": torch.zeros(1)})
    if is_told:
        header = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        header[part]["sha256"] = sha256(folder / file)
        (folder / "model.json").write_text(json.dumps(header), encoding="utf-8")
    with pytest.raises(BundleError, match=f"{file} is damaged .*: learn it again with 'effigy bundle {mend}"):
        load_face_model(folder)
    model = load_face_model(folder, without=[part])
    left_out = model.photo_map is None, model.encoder is None, not model.attributes
    assert left_out == tuple(each == part for each in ("photo", "encoder", "attributes"))


def test_of_several_damaged_parts_each_is_learnt_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What learns one of them leaves the others out, and an error names the next."""
    folder = tmp_path / "damaged.effigy"
    shutil.copytree(_DEFAULT, folder)
    for file in (PHOTO, ATTRIBUTES):
        (folder / file).write_bytes(b"damaged")
    (folder / ENCODER).unlink()
    loaded = []
    monkeypatch.setattr(photo_learning, "learn_photo_map", lambda model, *_: loaded.append(model))
    assert photo_learning.learn_photos(folder, 1) is None
    monkeypatch.setattr(encoder_learning, "learn_encoder", lambda model, *_: loaded.append(model) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        encoder_learning.learn_people(folder, 1)
    assert len(loaded) == 2
    with pytest.raises(BundleError, match=f"no file .*{ENCODER}: learn it again with 'effigy bundle learn-people'"):
        load_face_model(folder, without=["photo", "attributes"])


def test_damaged_attributes_are_learnt_again_by_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "damaged.effigy"
    shutil.copytree(_DEFAULT, folder)
    header = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    header["attributes"]["attributes"] = [{"name": "look1", "low": -3.0, "high": 3.0, "source": "sefa:1"}]
    (folder / "model.json").write_text(json.dumps(header), encoding="utf-8")
    (folder / ATTRIBUTES).write_bytes(b"damaged")
    with pytest.raises(SourceError, match="'look1' is the name"):  # it would mean another direction
        learn_attributes(folder, {"look1": "sefa:2"}, people=6)
    assert [each.attribute.name for each in learn_attributes(folder, {}, people=6)] == ["look1"]
    assert list(load_face_model(folder, "cpu").attributes) == ["look1"]


@pytest.mark.parametrize("key", ["low", "high", "shown"])
@pytest.mark.parametrize("value", ["0.9", None, True, [0.9], {}])
def test_a_controls_number_that_is_none_is_named(tmp_path: Path, key: str, value: object) -> None:
    header = json.loads((_DEFAULT / "model.json").read_text(encoding="utf-8"))
    header["controls"][0][key] = value
    arrays = read_tensors(_DEFAULT / "model.safetensors")
    with pytest.raises(ValueError, match=rf"{key} of its control jawOpen is {re.escape(repr(value))}, which is no"):
        _read_controls(arrays, header)


@pytest.mark.parametrize(
    ("part", "mend"), [("photo", "learn-photos"), ("encoder", "learn-people"), ("attributes", "fit the bundle again")]
)
@pytest.mark.parametrize("entry", [[], {}, 1, "x", True])
def test_an_entry_of_another_kind_is_refused_with_what_mends_it(
    tmp_path: Path, part: str, mend: str, entry: object
) -> None:
    folder = tmp_path / "damaged.effigy"
    folder.mkdir()
    for file in _DEFAULT.iterdir():
        (folder / file.name).symlink_to(file)
    header = json.loads((_DEFAULT / "model.json").read_text(encoding="utf-8"))
    header[part] = entry
    (folder / "model.json").unlink()
    (folder / "model.json").write_text(json.dumps(header), encoding="utf-8")
    with pytest.raises(BundleError, match=mend):
        load_face_model(folder)
