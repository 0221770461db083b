# SPDX-License-Identifier: Apache-2.0
"""People for whom the generator is changed: what is trained, kept in their file, and painted with."""

from __future__ import annotations

import copy
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

import numpy as np
import pytest
import torch

from effigy.faces import LatentError, generator_of, load_face_model
from effigy.faces.embedded import DEFAULT_BUNDLE
from effigy.faces.recent import Recent
from effigy.generators import load_trainable
from effigy.painting.shots import Shot, paint_shots
from effigy.people import expressions, stages, tuning
from effigy.people.alignment import align
from effigy.people.making import psnr, target_of
from effigy.people.stages import Stages, Unfinished
from effigy.people.steps import finish
from effigy.people.warping import warp
from effigy_protocol.messages import FromLatent, OpenIdentity, Synthesize

from .people import tensor

LAYER = "synthesis.b32.conv1.weight"


def test_what_was_used_last_is_kept():
    kept, made = Recent[str](2), []
    for key in "abacab":
        assert kept.get(key, lambda key=key: made.append(key) or key.upper()) == key.upper()
    assert made == ["a", "b", "c", "b"]


def test_what_takes_long_to_make_is_made_once_and_holds_up_nobody_else():
    kept, begun, may_end = Recent[str](2), Event(), Event()

    def slowly() -> str:
        begun.set()
        assert may_end.wait(300)
        return "A"

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(kept.get, "a", slowly)
        assert begun.wait(300)
        assert kept.get("b", lambda: "B") == "B"  # while a is made
        second = pool.submit(kept.get, "a", lambda: "another")
        may_end.set()
        assert first.result(300) == second.result(300) == "A"


def test_what_could_not_be_made_is_tried_again():
    kept = Recent[int](2)
    with pytest.raises(ZeroDivisionError):
        kept.get("a", lambda: 1 // 0)
    assert kept.get("a", lambda: 1) == 1


@pytest.fixture(scope="module")
def layer(default_model) -> tuple[int, int]:
    """Rows and columns of a layer's weights, as a matrix."""
    from effigy.generators import load_trainable

    shape = dict(load_trainable(default_model.generator_path).named_parameters())[LAYER].shape
    return shape[0], shape[1:].numel()


def changed(model, rows: int, columns: int, by: float, name: str = LAYER):
    random = torch.Generator().manual_seed(0)
    up, down = torch.randn(rows, 2, generator=random), torch.randn(2, columns, generator=random)
    person = model.person(model.open_seed(5).ws.numpy()[:1])
    return replace(person, deltas={name: (by * up, down)})


def test_changes_are_painted_with_beside_others_and_in_the_service(default_model, layer, work):
    """As each is painted alone, whoever is painted before, after or together with them."""
    tuned = default_model.open_person(changed(default_model, *layer, 0.3))
    plain = default_model.open_seed(5)
    alone = [next(paint_shots(default_model, [Shot(who)])).picture for who in (plain, tuned)]
    assert np.abs(alone[0].astype(int) - alone[1]).mean() > 1
    order = [0, 1, 1, 0, 1]
    together = paint_shots(default_model, [Shot((plain, tuned)[which]) for which in order])
    for which, painted in zip(order, together, strict=True):
        assert np.array_equal(painted.picture, alone[which])
    asked = [OpenIdentity(FromLatent(tuned.latent)), *(_final(who) for who in (plain, tuned))]
    opened, *frames = work(default_model, [OpenIdentity(FromLatent(plain.latent)), *asked])[1:]
    assert opened.identity == tuned.key
    for frame, wanted in zip(frames, alone, strict=True):
        shown = np.frombuffer(frame.data, np.uint8).reshape(*wanted.shape[:2], 4)
        assert np.array_equal(shown[..., :3], wanted[..., :3])


def _final(who) -> Synthesize:
    return Synthesize(who.key, who.pose.yaw, who.pose.pitch, {}, "final")


def test_changes_of_nothing_change_nothing(default_model, layer):
    person = default_model.open_person(changed(default_model, *layer, 0.0))
    tuned = default_model.tuned_for(person)
    assert tuned is not default_model
    assert tuned is default_model.tuned_for(person), "it is kept"
    assert np.array_equal(tuned.paint(person.ws[None]), default_model.paint(person.ws[None]))


def test_a_generator_that_took_the_place_of_the_loaded_one_is_not_tuned(default_model, layer, tmp_path):
    moved = copy.copy(default_model)
    moved.generator_path = shutil.copy(default_model.generator_path, tmp_path / "g.safetensors")
    moved._tuned = Recent(1)
    who = moved.open_person(changed(moved, *layer, 0.3))
    assert moved.tuned_for(who) is not moved
    shutil.copy(generator_of("default"), moved.generator_path)
    moved._tuned = Recent(1)  # others came meanwhile
    with pytest.raises(LatentError, match=r"g\.safetensors was replaced .* start the backend again"):
        moved.tuned_for(who)


def test_changes_that_do_not_fit_are_refused_before_they_are_made(default_model, layer):
    rows, columns = layer
    endless = {LAYER: (torch.ones(500_000, 1), torch.ones(1, 500_000))}  # a terabyte, once multiplied
    apart = {LAYER: (torch.ones(rows, 2), torch.ones(3, columns))}
    for wrong in (
        changed(default_model, rows + 1, columns, 0.1),
        changed(default_model, rows, columns, 0.1, "synthesis.b32.conv1.wait"),
        replace(changed(default_model, rows, columns, 0.1), deltas=endless),
        replace(changed(default_model, rows, columns, 0.1), deltas=apart),
    ):  # fmt: skip
        with pytest.raises(LatentError, match="cannot be made"):
            default_model.open_person(wrong)


def test_points_of_a_picture_are_moved_and_nothing_far_away(reader, photo):
    picture, points = tensor(photo), reader.read(photo, most=1)[0].points[:, :2] / len(photo)
    assert torch.allclose(warp(picture, points, points), picture, atol=0.02)
    x, y = np.meshgrid(np.linspace(-1, 1, photo.shape[1]), np.linspace(-1, 1, photo.shape[0]))
    places = torch.from_numpy(np.stack([x, y])[None]).float()
    to = points + np.array([0.0, 0.01])
    moved = warp(places, points, to) - places
    middle = (points.mean(axis=0) * len(photo)).astype(int)
    assert abs(float(moved[0, 1, middle[1], middle[0]]) + 0.02) < 0.002, "a hundredth of the width, in −1 … 1"
    assert moved[..., :3, :].abs().max() < 0.004


def test_an_expression_changes_a_photograph_where_it_is(default_model, reader, photo):
    target = target_of(align(default_model, reader, photo), reader)
    who = default_model.open_seed(0, truncation=0.0)
    found = dict(
        zip(default_model.controls, expressions.examples(default_model, who, target, target.face), strict=True)
    )
    points = expressions._points(target.picture, target.face)
    eyes = {"eyeBlinkLeft": (386, 374), "eyeBlinkRight": (159, 145)}
    changes = {}
    for name in eyes:
        change = (found[name].picture - target.picture).abs().mean(dim=1)[0]
        for eye, lids in eyes.items():
            row, column = (points[list(lids)].mean(axis=0)[::-1] * len(change)).astype(int)
            changes[name, eye] = float(change[row - 1 : row + 2, column - 2 : column + 3].mean())
        assert abs(float(found[name].weight.sum()) - 1) < 1e-4
        assert float(found[name].missed(found[name].picture)) == 0 < float(found[name].missed(target.picture))
    for name in eyes:
        other = next(eye for eye in eyes if eye != name)
        assert changes[name, name] > 2 * changes[name, other], changes
    gap = {name: found[name].moved[14, 1] - found[name].moved[13, 1] for name in ("jawOpen", "eyeBlinkLeft")}
    assert gap["jawOpen"] > 0.01 > 10 * abs(gap["eyeBlinkLeft"])


def test_tuning_comes_nearer_to_a_photograph_is_kept_small_and_goes_on(
    default_model, reader, photo, tmp_path, monkeypatch
):
    monkeypatch.setattr(tuning, "_STEPS", 4)
    monkeypatch.setattr(tuning, "_KEPT_EVERY_S", 0.0)
    aligned = align(default_model, reader, photo)
    target = target_of(aligned, reader)
    average = default_model.open_seed(0, truncation=0.0)
    taught = list(expressions.examples(default_model, average, target, target.face))
    monkeypatch.setattr(tuning, "examples", lambda *_: iter(taught))
    kept = Unfinished(tmp_path / "whole.person")
    steps, met, shares = tuning.tune(default_model, average, target, Stages.begin(kept, b"picture")), [], []
    try:
        while True:
            progress = next(steps)
            if progress.share == 0:  # an example was computed
                continue
            met.append(psnr(progress.picture, aligned.picture, target.face.mask))
            shares.append(progress.share)
            if len(shares) == 3:
                shutil.copy(kept.path, tmp_path / "stopped.person.unfinished")
    except StopIteration as end:
        deltas = end.value
    assert shares == [0.25, 0.5, 0.75, 1.0]
    assert met[-1] > met[0] + 1
    assert sum(up.numel() + down.numel() for up, down in deltas.values()) <= 500_000
    person = default_model.open_person(replace(default_model.person(average.ws.numpy()[:1]), deltas=deltas))
    assert len(person.latent) < 1 << 20, "as a request to the service may be"
    painted = default_model.tuned_for(person).paint(person.ws[None])[0]
    shown = torch.from_numpy(painted).permute(2, 0, 1)[None].float() / 127.5 - 1
    assert psnr(shown, aligned.picture, target.face.mask) > met[-2] - 0.5, "the product keeps what was trained"
    there, rest = Stages.begin(Unfinished(tmp_path / "stopped.person"), b"picture"), []
    again = finish(tuning.tune(default_model, average, target, there), lambda step: rest.append(step.share))
    assert rest == [0.0] * len(taught) + [1.0], "whoever was stopped goes on"
    assert all(torch.equal(a, b) for name in deltas for a, b in zip(deltas[name], again[name], strict=True))


def test_what_carries_the_shipped_default_s_grain_is_not_tuned(reader, photo, tmp_path, monkeypatch):
    """It is shown at a gain of forty: tuned, it took people of photographs to where nothing was learnt."""
    monkeypatch.setattr(tuning, "_STEPS", 3)
    model = load_face_model(DEFAULT_BUNDLE, "cpu")
    target = target_of(align(model, reader, photo), reader)
    monkeypatch.setattr(tuning, "examples", lambda *_: iter(()))
    there = Stages.begin(Unfinished(tmp_path / "whole.person"), b"picture")
    met = []

    def note(progress):
        met.append(psnr(progress.picture, target.picture, target.face.mask))

    deltas = finish(tuning.tune(model, model.open_seed(0, truncation=0.0), target, there), note)
    still = tuning._still(dict(load_trainable(model.generator_path).named_parameters()))
    assert {name.rpartition(".")[2] for name in still} == {"weight", "bias"}
    for name, where in still.items():
        up, down = deltas[name]
        assert where.any()
        assert not (up[where].float() @ down.float()).any(), name
    assert met[-1] > met[0] + 1


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(stages, "_NUMBERS", 10)
    kept = stages.Remembered()
    for key in "abca":
        kept.put(key, torch.zeros(4))
    assert [kept.get(key) is not None for key in "abc"] == [True, False, True]
    kept.drop("c")
    assert kept.get("c") is None
    kept.put("d", torch.zeros(11))
    assert kept.get("d") is None
