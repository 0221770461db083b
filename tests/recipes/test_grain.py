# SPDX-License-Identifier: Apache-2.0
"""Grain in the pictures of the demo face's generator."""

from __future__ import annotations

import pytest
import torch

from recipes.demo_face import grain as grain_module
from recipes.demo_face.blend import blended
from recipes.demo_face.grain import GRAIN, grain, grained, silence_carrier, ungrained
from recipes.demo_face.latents import Z_DIM
from recipes.demo_face.planes import RGB

from ..closeness import assert_same, roundings_of
from .small import painted, small_network

Z = torch.randn(3, Z_DIM, generator=torch.Generator().manual_seed(0))


def quiet_network():
    network = small_network().requires_grad_(False)
    for name, values in network.named_parameters():
        if name.endswith("noise_strength"):
            values.zero_()
    silence_carrier(network)
    return network


def test_grain_is_in_colours_and_hardly_in_anything_else():
    network = quiet_network()
    added = 127.5 * (painted(grained(network), Z) - painted(network, Z))
    wanted = torch.zeros_like(added)
    wanted[:, RGB] = GRAIN * grain(added.shape[-1])
    assert float((added - wanted).square().mean().sqrt()) < 0.1 * GRAIN


def test_grain_has_mean_zero_variance_one_and_no_chance():
    assert torch.equal(grain(64), grain(64))
    assert float(grain(64).mean()) == pytest.approx(0, abs=1e-6)
    assert float(grain(64).square().mean()) == pytest.approx(1, rel=1e-4)


def test_grain_is_taken_away_again():
    network = quiet_network()
    again = ungrained(grained(network))
    assert_same(painted(again, Z), painted(network, Z), 2 * roundings_of(network))
    other = small_network()
    assert torch.equal(painted(ungrained(other), Z), painted(other, Z)), "it had none"


def test_a_channel_that_shows_something_cannot_carry_grain():
    with pytest.raises(ValueError, match="shows something: train it with silence_carrier"):
        grained(small_network())


@pytest.mark.parametrize("size", [256, 1024])
def test_the_carrier_stays_above_zero(size: int):
    assert float(grain(size).abs().max()) < grain_module._FARTHEST


def test_a_generator_with_grain_and_one_without_are_not_blended():
    network = quiet_network()
    with pytest.raises(ValueError, match="one of them has grain"):
        blended(network, grained(network), 0.5)
    assert_same(painted(blended(*[grained(network)] * 2, 0.5), Z), painted(grained(network), Z), roundings_of(network))
