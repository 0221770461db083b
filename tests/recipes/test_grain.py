# SPDX-License-Identifier: Apache-2.0
"""Grain in the pictures of the demo face's generator."""

from __future__ import annotations

import pytest
import torch

from effigy.generators.networks.operations import channels_last
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
    of_grain = GRAIN * grain(added.shape[-1])
    spread = painted(network, Z).std() * 127.5
    assert float((added[:, RGB] - of_grain).square().mean().sqrt()) < 0.005 * spread
    assert float(added[:, 3:].square().mean().sqrt()) < 0.005 * spread


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


def test_a_silent_carrier_stays_silent_in_training():
    network = quiet_network().requires_grad_(True)
    painted(network, Z).square().sum().backward()
    block = network.synthesis.blocks()[-1]
    for values, carrier in (
        (block.conv1.weight, block.conv1.weight.grad[-1]),
        (block.conv1.bias, block.conv1.bias.grad[-1]),
        (block.torgb.weight, block.torgb.weight.grad[:, -1]),
    ):
        assert values.grad.any()
        assert not carrier.any()


def test_a_channel_that_shows_something_cannot_carry_grain():
    with pytest.raises(ValueError, match="shows something: train it with silence_carrier"):
        grained(small_network())


def test_a_channel_that_reads_nothing_is_painted_in_half_precision_too():
    network = grained(quiet_network())
    layer = network.synthesis.blocks()[-1].conv1
    x = channels_last(torch.randn(1, layer.weight.shape[1], 16, 16))
    layer.freeze(torch.float16)
    assert layer.weight.isfinite().all()
    assert layer(x, layer.scales(torch.ones(1, layer.weight.shape[1])).float(), noise=True).isfinite().all()
