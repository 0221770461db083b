# SPDX-License-Identifier: Apache-2.0
"""The default's mapping: w is a code of the parameters, to the bit of float32's rounding."""

from __future__ import annotations

import pytest
import torch

from recipes.demo_face import latents
from recipes.demo_face.mapping import OFFSET, W_DIM, centred, code, with_mapping
from recipes.demo_face.parameters import COUNT, EXPRESSION, PERSONAL, STILL, columns, sample
from recipes.demo_face.train_generator import Training, paint

from ..closeness import assert_same, roundings_of
from .small import PLAN, small_network


@pytest.mark.parametrize("rare", [False, True])
def test_w_is_linear_in_the_parameters_also_of_rare_expressions(rare: bool):
    network = with_mapping(Training(PLAN).network)
    z = torch.randn(500, latents.Z_DIM, generator=torch.Generator().manual_seed(0))
    if rare:
        z = latents.latents_of(torch.from_numpy(sample(500, 1)), torch.Generator().manual_seed(2))
    assert_same(network.mapping(z) - OFFSET, code(latents.parameters_of(z)), 4 * latents.Z_DIM)


def test_every_parameter_has_the_same_room_in_w():
    lengths = code(torch.eye(COUNT)).norm(dim=1)
    assert_same(lengths, lengths[:1].expand(COUNT), W_DIM)
    spread = code(torch.from_numpy(sample(4000, 3))).std(dim=0)
    assert spread.max() < 1.1 * spread.min()


def test_people_keep_what_is_theirs_and_move_alone_within_a_scene():
    p = latents.drawn_evenly(24, torch.Generator().manual_seed(0), 4)
    people, scenes = p.view(6, 4, COUNT), p.view(12, 2, COUNT)
    assert (people[:, :, PERSONAL] == people[:, :1, PERSONAL]).all()
    assert (scenes[:, 0, STILL] == scenes[:, 1, STILL]).all()
    assert not (people[:, 0, columns("key_light")] == people[:, 2, columns("key_light")]).any()
    assert not (scenes[:, 0, EXPRESSION] == scenes[:, 1, EXPRESSION]).any()
    with pytest.raises(ValueError, match="3 pictures of a person are not made of scenes of 2"):
        latents.drawn_evenly(24, torch.Generator().manual_seed(0), 3)


def test_truncation_shrinks_the_parameters():
    network = with_mapping(Training(PLAN).network)
    z = torch.randn(8, latents.Z_DIM, generator=torch.Generator().manual_seed(0))
    w = network.map(z, truncation_psi=0.5)[:, 0]
    half = latents.REST + 0.5 * (latents.parameters_of(z) - latents.REST)
    assert_same(w - OFFSET, code(half), 4 * latents.Z_DIM)


def test_a_generator_paints_from_z_what_its_synthesis_painted_from_the_code():
    training = Training(PLAN)
    p = torch.from_numpy(sample(4, 5))
    whole = with_mapping(training.network)
    found = paint(whole, whole.mapping(latents.latents_of(p)), 16)
    # The offset that w has is taken off again by rounded sums.
    assert_same(found, paint(training.network, code(p), 16), 8 * roundings_of(whole))
    assert_same(paint(centred(whole), code(p), 16), paint(training.network, code(p), 16), 8 * roundings_of(whole))


def test_a_mapping_that_was_learnt_is_refused():
    with pytest.raises(ValueError, match="its mapping is not what"):
        centred(small_network())
