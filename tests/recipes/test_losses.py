# SPDX-License-Identifier: Apache-2.0
"""The losses of the demo face's training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recipes.demo_face import losses, mapping, train_generator
from recipes.demo_face.planes import RGB
from recipes.demo_face.train_generator import Renders, Training

from ..closeness import assert_same
from .small import PLAN


def test_sharpening_leaves_slopes_and_enlarges_what_differs_from_its_surroundings():
    slope = torch.linspace(-1, 1, 8)[None, None, None].expand(1, 3, 8, 8)
    sharp = losses.sharpened(slope, 0.35)
    torch.testing.assert_close(sharp[..., 1:-1], slope[..., 1:-1])
    dot = torch.zeros(1, 3, 5, 5)
    dot[..., 2, 2] = 1
    sharp = losses.sharpened(dot, 0.35)
    assert sharp[0, 0, 2, 2] == pytest.approx(1.35)
    assert_same(sharp.sum(), dot.sum(), dot.numel())
    assert torch.equal(losses.sharpened(dot, 0.0), dot)


def test_emphasis_enlarges_what_is_as_wide_as_a_lock_and_neither_slopes_nor_what_is_behind():
    alpha, amount = torch.ones(1, 1, 128, 128), torch.ones(1, 1, 128, 128)
    slope = torch.linspace(-1, 1, 128)[None, None, None].expand(1, 3, 128, 128)
    inner = slice(8, -8)
    torch.testing.assert_close(losses.emphasised(slope, amount, alpha)[..., inner], slope[..., inner])
    lock = torch.zeros(1, 3, 128, 128)
    lock[..., 63:66] = 0.1
    assert losses.emphasised(lock, amount, alpha)[0, 0, 64, 64] == pytest.approx(0.1 + 0.1 - 0.1 / 3, abs=1e-6)
    assert torch.equal(losses.emphasised(lock, 0 * amount, alpha), lock)
    behind = lock.clone()
    alpha[..., :50] = 0
    behind[..., :50] = 1
    kept = losses.emphasised(behind, amount, alpha)[..., 50:] - losses.emphasised(lock, amount, alpha)[..., 50:]
    assert_same(kept, torch.zeros_like(kept), 81)


def test_attention_is_on_the_eyes_then_on_the_head(data: Path):
    landmarks = 128 / 16 * Renders([data]).landmarks[:4]
    alpha = torch.zeros(4, 128, 128)
    alpha[:, :64] = 1
    weight = losses.attention(landmarks, alpha, losses.around_face(landmarks, alpha))
    assert weight.shape == (4, 1, 128, 128)
    assert_same(weight.mean(dim=(1, 2, 3)), torch.ones(4), weight[0].numel())
    eye = landmarks[0, 36:42].mean(dim=0).long()
    assert weight[0, 0, eye[1], eye[0]] > 2 * weight[0, 0, 0, 0] > 4 * weight[0, 0, -1, 0]


def test_no_error_no_loss():
    picture, weight, gentle = torch.rand(2, 3, 16, 16), torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16)
    assert losses.regression_loss(picture, picture, weight, gentle) == 0
    assert losses.regression_loss(picture, 1 - picture, weight, gentle) > 0


def test_in_small_pictures_all_places_count_alike():
    for size, alike in ((losses.BROAD // 2, True), (losses.BROAD, False)):
        pictures, weight = torch.rand(2, 2, 3, size, size), torch.rand(2, 1, size, size)
        by_place, evenly = (
            losses.regression_loss(*pictures, each, torch.zeros(2, 1, size, size))
            for each in (weight, torch.ones_like(weight))
        )
        assert (by_place == evenly) == alike


@pytest.mark.parametrize(("size", "cost"), [(4, 1.0), (8, 1.0), (16, 1.5), (64, 2.5), (256, 3.5)])
def test_what_is_wrong_all_over_is_seen_in_every_size(size: int, cost: float):
    """At 1 in the largest picture, and at .5 in each smaller one, down to 8 pixels."""
    wanted, weight = torch.zeros(1, 3, size, size), torch.ones(1, 1, size, size)
    found = losses.regression_loss(wanted + 1, wanted, weight, torch.zeros_like(weight))
    assert_same(found, torch.tensor(cost), size**2)


def test_of_a_lock_that_is_seldom_there_the_gentle_penalty_teaches_its_share_and_the_other_nothing():
    locks = torch.tensor([0.05, 0.0, 0.0, 0.0, 0.0])  # it is there in one picture of five
    levels = torch.linspace(0, 0.05, 201)

    def best(gentle: float) -> float:
        costs = losses.penalty(levels[:, None] - locks, torch.tensor(gentle)).mean(dim=1)
        return float(levels[costs.argmin()])

    assert best(0.0) == 0
    assert best(1.0) == pytest.approx(locks.mean().item(), abs=1e-3)


def test_penalties_meet_at_the_knee_and_grow_alike_beyond():
    error = torch.tensor([-2.0, -losses.KNEE, 0.0, losses.KNEE, 2.0])
    whole, gentle = (losses.penalty(error, torch.tensor(share)) for share in (0.0, 1.0))
    assert torch.equal(whole, error.abs())
    torch.testing.assert_close(whole - gentle, torch.tensor([0.5, 0.5, 0, 0.5, 0.5]) * losses.KNEE)


def test_hair_ears_and_neck_are_around_the_face_and_what_is_behind_is_not():
    angles = torch.linspace(0, torch.pi, 17)
    face = torch.full((70, 2), 64.0)  # eyes, nose and mouth in the middle
    face[:17] = 64 - 30 * torch.stack([angles.cos(), -angles.sin()], dim=1)  # from ear over chin to ear
    face[17:27, 1] = 44
    around = losses.around_face(face[None], torch.ones(1, 128, 128))[0]
    assert around[64, 64] < 0.01
    assert around[10, 64] > 0.99
    assert around[64, 10] > 0.99
    assert around[120, 64] > 0.99
    assert_same(around[:, 40:88].flip(1)[:, 1:], around[:, 41:88], 128)
    assert not losses.around_face(face[None], torch.zeros(1, 128, 128)).any()


def test_only_changes_count_as_edits():
    random = torch.Generator().manual_seed(0)
    still, moved_ = torch.rand(2, 2, 3, 16, 16, generator=random)
    wanted = torch.stack([still, moved_], dim=1).flatten(0, 1)
    weight = torch.ones(4, 1, 16, 16)
    another = wanted + torch.rand(2, 3, 16, 16, generator=random).repeat_interleave(2, dim=0)  # equally wrong in both
    assert losses.edit_loss(another, wanted, weight) == pytest.approx(0, abs=1e-9)
    frozen = wanted[::2].repeat_interleave(2, dim=0)
    assert_same(losses.edit_loss(frozen, wanted, weight), torch.tensor(1.0), wanted.numel())
    half = wanted.clone()
    half[1::2] = (still + moved_) / 2
    assert_same(losses.edit_loss(half, wanted, weight), torch.tensor(0.25), wanted.numel())
    assert losses.edit_loss(frozen, frozen, weight) == 0, "nothing is asked"
    elsewhere = wanted.clone()
    elsewhere[1::2, :, :8] += 1
    weight[:, :, :8] = 0
    assert losses.edit_loss(elsewhere, wanted, weight) == pytest.approx(0, abs=1e-9)


def test_edits_have_their_weight_in_the_loss(data: Path):
    pictures, vectors, landmarks = Renders([data]).batch(0, 8)
    network, w = Training(PLAN).network, mapping.code(vectors)
    alpha = torch.ones(8, 16, 16)
    around = losses.around_face(landmarks, alpha)
    wanted, weight, hair = pictures, losses.attention(landmarks, alpha, around), around[:, None]
    with torch.no_grad():
        without, counted = (
            train_generator.loss_of(network, w, wanted, weight, hair, replace(PLAN, editing=editing))
            for editing in (0.0, 1.0)
        )
        painted = train_generator.paint(network, w, 16)
        edits = losses.edit_loss(painted[:, RGB], wanted[:, RGB], weight)
    assert_same(counted, without + edits, wanted.numel())
