# SPDX-License-Identifier: Apache-2.0
"""A face model's bundle on disk."""

from __future__ import annotations

import json
import shutil

import pytest

from effigy.faces import (
    DEFAULT_BUNDLE,
    FIRST_BUNDLE,
    BundleError,
    landmarks_note,
    load_face_model,
    load_paper_regressor,
    resolve_bundle,
)


def test_default_names_the_embedded_bundle():
    assert resolve_bundle("default") == DEFAULT_BUNDLE
    shipped = {path for folder in (DEFAULT_BUNDLE, FIRST_BUNDLE) for path in folder.iterdir()}
    assert sum(path.stat().st_size for path in shipped) < 60 * 2**20


@pytest.fixture()
def bundle(tmp_path):
    return shutil.copytree(FIRST_BUNDLE, tmp_path / "copy.effigy")


def test_a_copied_bundle_is_the_same_model(bundle, default_model):
    assert load_face_model(bundle, "cpu").model_id == default_model.model_id


def test_a_bundle_with_another_generator_is_refused(bundle):
    path = bundle / "generator.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match="not the generator that"):
        load_face_model(bundle, "cpu")


def test_the_papers_regressor_of_an_earlier_fit_is_not_taken_for_this_ones(bundle):
    assert load_paper_regressor(bundle) is not None
    (bundle / "model.safetensors").write_bytes(b"another fit")
    assert load_paper_regressor(bundle) is None


@pytest.mark.parametrize("wrong", [{"activation": "tanh"}, {"depth": 0}, {"rows": 0}, {"width": 3}, {"extra": 1}])
def test_a_regressor_that_is_none_is_refused(bundle, wrong):
    path = bundle / "model.json"
    header = json.loads(path.read_text())
    header["regressor"] |= wrong
    path.write_text(json.dumps(header))
    with pytest.raises(BundleError, match="damaged"):
        load_face_model(bundle, "cpu")


def test_a_flipped_bit_in_the_model_is_noticed(bundle):
    path = bundle / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match="its checksum is wrong"):
        load_face_model(bundle, "cpu")


@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "generator.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "empty", "garbage"])
def test_a_damaged_bundle_names_what_is_wrong(bundle, name, damage):
    path = bundle / name
    path.unlink()
    if damage != "missing":
        path.write_bytes(b"" if damage == "empty" else b"\xfe" * 500)
    with pytest.raises(BundleError) as caught:
        load_face_model(bundle, "cpu")
    assert "copy.effigy" in str(caught.value)


def test_a_bundle_of_another_format_or_with_a_path_outside_is_refused(bundle):
    path = bundle / "model.json"
    header = json.loads(path.read_text())
    path.write_text(json.dumps(header | {"format": 99}))
    with pytest.raises(BundleError, match="format 99"):
        load_face_model(bundle, "cpu")
    path.write_text(json.dumps(header | {"generator": {"file": "../generator.safetensors", "sha256": "0"}}))
    with pytest.raises(BundleError, match="outside"):
        load_face_model(bundle, "cpu")


@pytest.mark.parametrize(("topology", "revision", "was"), [
    ("mediapipe478", None, "pitched"), ("mediapipe478", 2, "nodded"), ("mediapipe478", 3, ""),
    ("mediapipe468", None, "pitched"), ("mediapipe468", 2, ""), ("ibug68", None, ""),
    ("ibug70", 1, "in other ways"), ("ibug70", 2, ""),
])  # fmt: skip
def test_bundles_of_earlier_definitions_of_landmarks_are_told_apart(tmp_path, topology, revision, was):
    header = json.loads((FIRST_BUNDLE / "model.json").read_text())
    header["topology"] = topology
    header.pop("topology_revision", None)
    if revision is not None:
        header["topology_revision"] = revision
    (tmp_path / "model.json").write_text(json.dumps(header))
    note = landmarks_note(tmp_path)
    assert ("a new fit" in note) == bool(note) == bool(was)
    assert ("photo mends that" in note) == (was == "nodded")
    assert was in note


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Basis", "no control can be called 'Basis', as Blender calls .*: give it another name"),
        ("mouthSmile", "two controls are called 'mouthSmile': give one another name"),
        ("yaw", "no control can be called 'yaw', as a face is asked for that already: rename it"),
        ("", "a control is called '', which is no name: give it one"),
        (5, "a control is called '5', which is no name: give it one"),
    ],
)
def test_a_control_is_refused_by_a_name_that_it_cannot_have(bundle, name, said):
    header = json.loads((bundle / "model.json").read_text())
    header["controls"] = [control | {"name": "mouthSmile"} for control in header["controls"][:2]]
    header["controls"][0]["name"] = name
    (bundle / "model.json").write_text(json.dumps(header))
    with pytest.raises(BundleError, match=said):
        load_face_model(bundle, "cpu")
