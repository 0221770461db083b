# SPDX-License-Identifier: Apache-2.0
"""Faces of before live on: whoever is served, a face of a model that came with Effigy opens as what it is."""

from __future__ import annotations

import json

import numpy as np
import pytest

from effigy.faces import DEFAULT_BUNDLE, FIRST_BUNDLE, embedded_bundle, embedded_detector, load_face_model
from effigy.faces import resolve_bundle as resolve
from effigy.faces.header import UNCORRECTED, WITHOUT_LOOKS
from effigy.faces.shipped import FaceModels, shipped
from effigy_protocol.messages import Error, FromLatent, FromSeed, OpenIdentity, Synthesize

FIRST_UNCORRECTED, FIRST_WITHOUT_LOOKS = "0f43d165f9ca4c75", "ae0b9b3aa1578cad"  # as .blend files of before name them


@pytest.fixture(scope="module")
def first():
    return load_face_model(FIRST_BUNDLE, "cpu")


@pytest.fixture(scope="module")
def uncorrected():
    """The first default as it was before edits corrected it."""
    return load_face_model(FIRST_BUNDLE, "cpu", as_format=UNCORRECTED)


@pytest.fixture(scope="module")
def earlier():
    """The first default as it was released before edits kept looks."""
    return load_face_model(FIRST_BUNDLE, "cpu", as_format=WITHOUT_LOOKS)


def test_the_ids_that_old_files_name_are_known(first, uncorrected, earlier):
    assert (uncorrected.model_id, earlier.model_id) == (FIRST_UNCORRECTED, FIRST_WITHOUT_LOOKS)
    assert {first.model_id, FIRST_UNCORRECTED, FIRST_WITHOUT_LOOKS} <= shipped().keys()
    assert resolve("default") == DEFAULT_BUNDLE
    assert resolve("first-default") == FIRST_BUNDLE
    assert load_face_model(DEFAULT_BUNDLE, "cpu").model_id in shipped()


def test_a_model_without_looks_edits_as_it_did(first, earlier):
    anchor = first.open_seed(4)
    assert earlier.open_seed(4).latent == anchor.latent
    assert (earlier.appearance, first.appearance is None) == (None, False)
    edits = [
        model.edit(anchor, anchor.pose.yaw, anchor.pose.pitch, {"eyeBlinkLeft": 1.0}) for model in (first, earlier)
    ]
    assert not np.array_equal(edits[0].ws, edits[1].ws)


def test_an_uncorrected_model_reads_and_edits_as_it_did(first, uncorrected):
    """Its latents are those that this model led to when it was the default: sums of w+'s first row, and of squares."""
    anchor = uncorrected.open_seed(4)
    assert first.open_seed(4).latent == anchor.latent
    assert not np.array_equal(first.open_seed(4).q, anchor.q)
    asked = [(20.0, -5.0, {}), (0.0, 0.0, {"jawOpen": 1.0}), (10.0, 0.0, {"eyeBlinkLeft": 1.0, "mouthSmile": 0.5})]
    edited = [uncorrected.edit(anchor, *each).ws[0].double() for each in asked]
    known = [[-42.240845, 708.185887], [-34.104018, 803.687473], [-31.281485, 770.493105]]
    # And one that was asked for the average expression, which then lay beyond the sliders of whoever laughs.
    laughing = uncorrected.open_seed(3, truncation=1.0)
    relaxed = {name: -value for name, value in uncorrected.own_expression(laughing).items()}
    edit = uncorrected.edit(laughing, laughing.pose.yaw, laughing.pose.pitch, relaxed)
    assert edit.clamped == ("mouthSmile", "eyeBlinkLeft")
    edited, known = [*edited, edit.ws[0].double()], [*known, [-43.005559, 852.630637]]
    np.testing.assert_allclose([[float(row.sum()), float(row.square().sum())] for row in edited], known, rtol=1e-5)


def test_faces_of_every_shipped_model_are_painted_side_by_side_each_as_by_its_own(work, planes_bundle, first, earlier):
    served = load_face_model(planes_bundle, "cpu")
    anchors = [model.open_seed(3, 0.7) for model in (served, first, earlier)]
    opened = work(
        served, [OpenIdentity(FromLatent(anchors[n].latent, m.model_id)) for n, m in ((1, first), (2, earlier))]
    )
    assert [(each.identity, each.model) for each in opened] == [
        (anchors[1].key, first.model_id),
        (anchors[2].key, FIRST_WITHOUT_LOOKS),
    ]
    controls, models = {"eyeBlinkLeft": 1.0}, (served, first, earlier)
    asked = [
        OpenIdentity(FromLatent(anchor.latent, model.model_id)) for anchor, model in zip(anchors, models, strict=True)
    ]
    asked += [Synthesize(anchors[n % 3].key, 3.0 * n, 0.0, controls, "final") for n in range(6)]
    for n, frame in enumerate(work(served, asked)[3:]):
        model, anchor = models[n % 3], anchors[n % 3]
        wanted = model.paint(model.edit(anchor, 3.0 * n, 0.0, controls).ws[None])[0]
        rgba = np.frombuffer(frame.data, np.uint8).reshape(frame.height, frame.width, 4)
        np.testing.assert_array_equal(rgba[..., : wanted.shape[-1]], wanted)
        assert (rgba[..., 3] == 255).all(), "no matte was asked for"


def test_other_models_are_refused_as_before_and_a_seed_may_name_its_model(work, planes_bundle, first):
    served = load_face_model(planes_bundle, "cpu")
    refused, seeded = work(
        served,
        [
            OpenIdentity(FromLatent(first.open_seed(3).latent, "another")),
            OpenIdentity(FromSeed(5, model=first.model_id)),
        ],
    )
    assert isinstance(refused, Error)
    assert refused.code == "wrong-model"
    assert (seeded.model, seeded.latent) == (first.model_id, first.open_seed(5).latent)


def test_a_model_says_which_others_can_be_opened_and_loads_them_once(planes_bundle, first):
    models = FaceModels(load_face_model(planes_bundle, "cpu"))
    known = {each.model: each.name for each in models.others}
    assert known[first.model_id] == "Effigy's first default"
    assert known[FIRST_UNCORRECTED] == "Effigy's first default, before edits corrected it"
    assert known[FIRST_WITHOUT_LOOKS].startswith("Effigy's first default, before")
    assert models.get(FIRST_UNCORRECTED) is models.get(FIRST_UNCORRECTED)
    assert models.get("another") is None
    assert first.model_id not in {each.model for each in FaceModels(first).others}


def test_networks_belong_to_the_generator_or_the_landmarks_that_they_know(planes_bundle, tmp_path):
    assert embedded_bundle(FIRST_BUNDLE / "generator.safetensors") == FIRST_BUNDLE
    assert embedded_bundle(planes_bundle / "generator.safetensors") is None
    assert embedded_detector(FIRST_BUNDLE) == FIRST_BUNDLE / "detector.safetensors"
    assert embedded_detector(planes_bundle) == FIRST_BUNDLE / "detector.safetensors", "by its ibug68 landmarks"
    assert embedded_detector(tmp_path) == DEFAULT_BUNDLE / "detector.safetensors"
    header = json.loads((planes_bundle / "model.json").read_text("utf-8"))
    (tmp_path / "model.json").write_text(json.dumps(header | {"topology": "mediapipe478"}), "utf-8")
    assert embedded_detector(tmp_path) == DEFAULT_BUNDLE / "detector.safetensors"
