# SPDX-License-Identifier: Apache-2.0
"""φ learns from pictures of its own edits what samples do not tell."""

from __future__ import annotations

import copy
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from effigy.editing import InverseOptions, Parameters, Regressor, invert
from effigy.editing.correction import Detected, correct_regressor, error_of
from effigy.editing.network import Architecture, Network
from effigy.editing.regressor import Whitening
from effigy.faces import FIRST_BUNDLE, BundleError, describe_correction, load_face_model, load_paper_regressor
from effigy.faces.header import UNCORRECTED, sha256
from effigy.faces.paper import save_paper_regressor
from effigy.faces.regressors import apply_correction, save_correction
from effigy.fitting import refining, samples
from effigy.fitting.refining import refine
from effigy.geometry import ShapeModel, project
from effigy.landmarks import EmbeddedDetector

W_DIM, NUM_WS = 8, 3
UNSEEN = 6  # the direction that samples hardly vary in, and edits go


@pytest.fixture(scope="module", params=[1, NUM_WS], ids=["w", "w+"])
def world(request):
    """A φ that is right of samples alone, the shape model, latents of samples, and what is seen of edits."""
    random, rows = np.random.default_rng(0), request.param
    shape = ShapeModel(random.normal(size=(3, 12)), 0.3 * random.normal(size=(2, 3, 12)), np.full(12, 1e-4))
    torch.manual_seed(0)
    truth = Regressor(Whitening.none(W_DIM), torch.zeros(8), torch.ones(8), Architecture(width=16), rows).double()
    truth.requires_grad_(requires_grad=False).last.weight.zero_()
    truth.linear.weight.copy_(torch.from_numpy(0.1 * random.normal(size=truth.linear.weight.shape)))
    truth.q_mean[3:6] = torch.tensor([-1.6, 0.5, 0.5])
    truth.q_scale[6:] = 2.0
    wrong = copy.deepcopy(truth)
    wrong.linear.weight[:, UNSEEN] += 0.05

    def drawn(count, reach):
        ws = random.normal(size=(count, rows, W_DIM))
        ws[:, 0, UNSEEN] *= reach
        return ws

    edited = drawn(200, 2.0)
    views = Parameters.from_vector(truth(truth.read(torch.from_numpy(edited))).numpy())
    return truth, wrong, shape, drawn(400, 0.01), Detected(edited, project(shape.shape(views.alpha), views.camera))


@pytest.fixture(scope="module")
def corrected(world):
    _, wrong, shape, untouched, edits = world
    return correct_regressor(wrong, edits, untouched, shape)


@pytest.mark.parametrize("linear_path", [True, False])
def test_what_is_added_to_an_output_layer_is_added_to_the_outputs(linear_path):
    torch.manual_seed(0)
    network = (
        Network(5, 3, Architecture(depth=2, width=7, linear_path=linear_path))
        .double()
        .requires_grad_(requires_grad=False)
    )
    v = torch.randn(4, 5, dtype=torch.float64)
    change = torch.randn(network.features(v).shape[1], 3, dtype=torch.float64)
    before, (_, slope) = network(v), network.jacobian(v)
    wanted = before + network.features(v) @ change
    network.add(change)
    torch.testing.assert_close(network(v), wanted)
    torch.testing.assert_close(network.jacobian(v)[0], wanted)
    assert not torch.equal(network.jacobian(v)[1], slope)


def test_what_is_mistaken_in_edits_is_learnt_and_samples_are_known_as_before(world, corrected):
    truth, wrong, shape, untouched, edits = world
    assert corrected.is_better
    assert corrected.edits < 0.4 * corrected.edits_before
    assert error_of(corrected.regressor, edits, shape) < 0.4 * error_of(wrong, edits, shape)
    v = wrong.read(torch.from_numpy(untouched))
    moved = (corrected.regressor(v) - wrong(v)).square().mean()
    assert moved < 0.05 * (truth(v) - truth(v).mean(dim=0)).square().mean()


def test_a_regressor_that_knows_edits_stays_itself(world):
    truth, _, shape, untouched, edits = world
    noise = 0.02 * np.random.default_rng(1).normal(size=edits.points[:40].shape)
    stayed = correct_regressor(truth, Detected(edits.latents[:40], edits.points[:40] + noise), untouched, shape)
    assert not stayed.is_better, "nothing can be learnt of noise"
    assert stayed.regressor is truth
    assert stayed.edits == stayed.edits_before


def test_only_the_output_layer_is_corrected_and_a_file_holds_it(world, corrected, tmp_path):
    wrong = world[1]
    before, after = wrong.state_dict(), corrected.regressor.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == wrong.output_state().keys()
    again = copy.deepcopy(wrong)
    save_correction(tmp_path, corrected.regressor)
    apply_correction(tmp_path, again)
    v = wrong.read(torch.from_numpy(world[3][:5]))
    torch.testing.assert_close(again(v), corrected.regressor(v), atol=1e-6, rtol=1e-5)
    assert not any(each.requires_grad for each in again.parameters())


def test_laws_of_the_inverse_hold_for_a_corrected_regressor(world, corrected):
    """An edit of zero is none, bit for bit; rows do not know of each other, nor of their order."""
    phi = corrected.regressor
    ws = torch.from_numpy(np.broadcast_to(world[3][:4], (4, NUM_WS, W_DIM)).copy())
    change = torch.zeros(4, 8, dtype=torch.float64)
    weigh = 100 * torch.eye(8, dtype=torch.float64)
    moved, reached = invert(phi, ws, change, weigh)
    assert torch.equal(moved, ws)
    assert torch.equal(reached, change)
    change[:, 1] = torch.tensor([0.2, -0.1, 0.05, 0.0])
    moved, reached = invert(phi, ws, change, weigh, InverseOptions(pull=1e-4))
    torch.testing.assert_close(reached, change, atol=0.02, rtol=0)
    assert torch.equal(moved[3], ws[3])
    backwards, _ = invert(phi, ws.flip(0), change.flip(0), weigh, InverseOptions(pull=1e-4))
    torch.testing.assert_close(backwards.flip(0), moved, atol=1e-6, rtol=0)


@pytest.fixture()
def detector():
    return EmbeddedDetector(FIRST_BUNDLE / "detector.safetensors")


@pytest.fixture()
def bundle(tmp_path, monkeypatch):
    """The default with a φ that reads yaw a tenth too large, and how few samples a test can wait for."""
    monkeypatch.setattr(samples, "SHARD", 40)
    monkeypatch.setattr(refining, "_LOOKED_AT", 40)
    folder = shutil.copytree(FIRST_BUNDLE, tmp_path / "wrong.effigy", ignore=shutil.ignore_patterns("correction*"))
    path, header = folder / "model.safetensors", json.loads((folder / "model.json").read_text())
    arrays = load_file(path)
    for name in ("linear.weight", "layers.2.weight", "layers.2.bias"):
        arrays[f"regressor.{name}"][1] *= 1.1
    papers = load_paper_regressor(folder)
    save_file(arrays, path)
    del header["correction"]
    header |= {"format": UNCORRECTED, "model_sha256": sha256(path)}
    (folder / "model.json").write_text(json.dumps(header))
    save_paper_regressor(folder, papers)
    return folder


def test_refining_corrects_the_regressor_and_keeps_the_heads(bundle, tmp_path, detector):
    before = load_face_model(bundle, "cpu")
    out = tmp_path / "colours.effigy"
    looks, corrected = refine(bundle, detector, None, out, tmp_path / "samples", 80, photo_people=3, edits=60)
    assert looks.identity is None
    assert corrected.edits < 0.9 * corrected.edits_before
    after = load_face_model(tmp_path / "colours.effigy", "cpu")
    assert after.model_id != before.model_id
    assert not np.array_equal(after.photo_map.pose, before.photo_map.pose), "what photographs show is learnt anew"
    papers = [load_paper_regressor(folder) for folder in (bundle, tmp_path / "colours.effigy")]
    assert torch.equal(papers[0].last.weight, papers[1].last.weight)
    entry = json.loads((tmp_path / "colours.effigy" / "model.json").read_text())["correction"]
    assert entry["edits_nme_percent"] == round(corrected.edits, 3) < entry["edits_nme_percent_before"]
    assert "corrected by its edits" in describe_correction(tmp_path / "colours.effigy")
    # What was fitted is there as it was, and reads as what it was.
    files = [folder / "model.safetensors" for folder in (bundle, tmp_path / "colours.effigy")]
    assert files[0].read_bytes() == files[1].read_bytes()
    # But for ranges that the edits do not follow: this model's lids are open at rest.
    assert before.controls["eyeBlinkLeft"].low < -0.2 < after.controls["eyeBlinkLeft"].low == 0
    # Heads by the same network stay as they are: the fit may have learnt them from more.
    again = tmp_path / "again.effigy"
    looks, _ = refine(out, detector, None, again, tmp_path / "samples", 80, photo_people=0, edits=60)
    assert looks is None
    heads = [(tmp_path / name / "appearance.safetensors").read_bytes() for name in ("colours.effigy", "again.effigy")]
    assert heads[0] == heads[1]
    with pytest.raises(BundleError, match="can teach already"):
        refine(tmp_path / "again.effigy", None, None, tmp_path / "third.effigy", tmp_path / "samples", 80)


def test_another_detector_than_the_fits_is_refused(bundle, tmp_path, detector):
    class Other:
        fingerprint = "other"

        def __init__(self, topology):
            self.topology = topology

        def detect(self, pictures):
            return detector.detect(pictures.flip(3))

    with pytest.raises(BundleError, match="ibug68 landmarks, and this detector finds mediapipe478"):
        refine(bundle, Other("mediapipe478"), None, tmp_path / "new.effigy", tmp_path / "samples", 40)
    with pytest.raises(BundleError, match="other points than the model was fitted to"):
        refine(bundle, Other("ibug68"), None, tmp_path / "new.effigy", tmp_path / "samples", 40)
    assert not (tmp_path / "new.effigy").exists()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("missing", "there is no file"),
        ("flipped", "its checksum is wrong"),
        ("nan", "NaN or infinite"),
        ("more", "is not of this regressor"),
        ("wider", "damaged"),
        ("entry", "damaged"),
    ],
)
def test_a_damaged_correction_is_named(tmp_path, damage, said):
    for name in ("model.json", "model.safetensors", "correction.safetensors"):
        shutil.copy(FIRST_BUNDLE / name, tmp_path)
    (tmp_path / "generator.safetensors").symlink_to(FIRST_BUNDLE / "generator.safetensors")
    path, header = tmp_path / "correction.safetensors", json.loads((tmp_path / "model.json").read_text())
    arrays = load_file(path)
    if damage == "missing":
        path.unlink()
    elif damage == "flipped":
        path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    elif damage == "entry":
        del header["correction"]["edits_nme_percent"]
    else:
        if damage == "nan":
            arrays["linear.weight"][0, 0] = float("nan")
        elif damage == "more":
            arrays["q_mean"] = torch.zeros(3)
        elif damage == "wider":
            arrays["linear.weight"] = torch.zeros(3, 4)
        save_file(arrays, path)
        header["correction"]["sha256"] = sha256(path)
    (tmp_path / "model.json").write_text(json.dumps(header))
    with pytest.raises(BundleError, match=said):
        load_face_model(tmp_path, "cpu")
