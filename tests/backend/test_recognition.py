# SPDX-License-Identifier: Apache-2.0
"""Identity networks and the term of the inverse that keeps a person."""

from __future__ import annotations

import os
import pickle

import pytest
import torch

from effigy.editing import InverseOptions, keep_identity
from effigy.faces import FIRST_BUNDLE
from effigy.recognition import ArcFace, EmbeddedIdentity, IdentityFileError, load_embedder
from effigy.recognition.arcface import IRSE50

from ..closeness import assert_same, roundings_of

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def embedder():
    return EmbeddedIdentity(FIRST_BUNDLE / "identity.safetensors")


@pytest.fixture(scope="module")
def arcface_weights(tmp_path_factory):
    """Writes random weights under the published names."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("arcface") / "model_ir_se50.pth"
    torch.save(IRSE50().state_dict(), path)
    return path


def test_the_embedded_network_tells_people_apart_whatever_their_pose(default_model, embedder):
    count = 12
    people = [default_model.open_seed(seed, truncation=1.0) for seed in range(count)]
    turns = [torch.stack([default_model.edit(p, yaw, 0.0, {}).ws for p in people]) for yaw in (-20.0, 20.0)]
    left, right = (embedder.embed(default_model.generator.synthesize(ws)) for ws in turns)
    assert_same(left.norm(dim=1), torch.ones(count), left.shape[1])
    similarity = left @ right.T
    # One of these twelve it takes for his likeness (docs/benchmarks.md: of a hundred it knows 77 % again).
    assert (similarity.argmax(dim=1) == torch.arange(count)).sum() >= count - 1
    others = similarity[~torch.eye(count, dtype=torch.bool)]
    assert similarity.diagonal().mean() > others.mean() + 0.4


def test_arcface_reads_the_published_names_and_batches_alike(arcface_weights):
    network = load_embedder(str(arcface_weights), FIRST_BUNDLE, CPU)
    assert isinstance(network, ArcFace)
    images = torch.rand(2, 3, 256, 256) * 2 - 1
    vectors = network.embed(images)
    assert vectors.shape == (2, 512)
    assert_same(vectors.norm(dim=1), torch.ones(2), 512)
    assert_same(network.embed(images[1:]), vectors[1:], roundings_of(network.network))
    # The published blocks: 3 of 64 channels, then 4, 14 and 3; each stage halves the picture.
    assert {f"body.{i}.res_layer.5.fc1.weight" for i in range(24)} <= network.network.state_dict().keys()


def test_the_judge_tells_people_apart_and_shares_nothing_with_the_network_that_edits_hold_on_to(
    default_model, embedder
):
    judge = load_embedder("judge", FIRST_BUNDLE, CPU)
    assert judge.fingerprint != embedder.fingerprint
    assert type(judge.network) is not type(embedder.network)
    people = [default_model.open_seed(seed, truncation=1.0) for seed in range(12)]
    turns = [torch.stack([default_model.edit(p, yaw, 0.0, {}).ws for p in people]) for yaw in (-20.0, 20.0)]
    left, right = (judge.embed(default_model.generator.synthesize(ws)) for ws in turns)
    similarity = left @ right.T
    others = similarity[~torch.eye(12, dtype=torch.bool)]
    assert (similarity.argmax(dim=1) == torch.arange(12)).sum() >= 10
    assert similarity.diagonal().mean() > others.mean() + 0.4


class Malicious:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def test_weights_that_would_run_code_are_refused_without_running_it(tmp_path):
    path, marker = tmp_path / "bad.pth", tmp_path / "ran"
    path.write_bytes(pickle.dumps(Malicious(str(marker)), protocol=2))
    with pytest.raises(IdentityFileError, match=r"bad\.pth is not ArcFace"):
        ArcFace(path)
    assert not marker.exists()


@pytest.mark.parametrize("content", [b"", b"junk", None])
def test_a_missing_or_broken_file_is_named(tmp_path, content):
    path = tmp_path / "weights.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(IdentityFileError, match=r"weights\.pth"):
        ArcFace(path)
    with pytest.raises(IdentityFileError, match=r"weights\.pth"):
        EmbeddedIdentity(path)


def test_the_identity_term_is_zero_at_the_anchor_and_keeps_an_edit_nearer_to_the_person(default_model, embedder):
    anchor = default_model.open_seed(4)
    term = keep_identity(default_model.generator, embedder, anchor.ws[None])
    assert_same(1 - float(term(anchor.ws[None].double())), 1.0, roundings_of(default_model.generator))
    few = InverseOptions("gradient", descents=12, rate=0.15)
    free = default_model.edit(anchor, 30.0, 0.0, {}, few)
    kept = default_model.edit(
        anchor, 30.0, 0.0, {}, InverseOptions("gradient", descents=12, rate=0.15, identity_weight=300.0), term
    )
    assert float(term(kept.ws[None])) < float(term(free.ws[None]))
