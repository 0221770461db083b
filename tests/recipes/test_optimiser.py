# SPDX-License-Identifier: Apache-2.0
"""The steps of a training: what Muon makes of a gradient, and what it leaves alone."""

from __future__ import annotations

import pytest
import torch

from effigy.generators.networks.dense import initialize
from effigy.generators.networks.stylegan2 import StyleGAN2
from recipes.demo_face.optimiser import Optimiser, orthogonalised

from .small import PLAN


@pytest.mark.parametrize("shape", [(32, 288), (96, 24), (16, 16)])
def test_every_direction_of_a_gradient_counts_alike(shape):
    random = torch.Generator().manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(shape[0], min(shape), generator=random))
    right, _ = torch.linalg.qr(torch.randn(shape[1], min(shape), generator=random))
    strengths = torch.logspace(0, -1.5, min(shape))
    found = left.T @ orthogonalised((left * strengths) @ right.T) @ right
    own = found.diagonal()
    assert own.min() > 0.6, "the weakest direction is as strong as the others"
    assert own.max() < 1.3
    assert (found - own.diag()).abs().max() < 0.1, "no direction becomes another"


def test_the_size_of_a_gradient_does_not_matter():
    matrix = torch.randn(12, 40, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(orthogonalised(1024 * matrix), orthogonalised(matrix), atol=0.02, rtol=0)
    assert not orthogonalised(torch.zeros(12, 40)).any()


def test_a_step_moves_what_was_painted_and_leaves_the_rest():
    network = StyleGAN2(PLAN.network)
    initialize(network)
    before = {name: values.clone() for name, values in network.named_parameters()}
    optimiser = Optimiser(network)
    styles = network.synthesis.styles(network.mapping(torch.randn(2, 512))[:, None].expand(-1, network.num_ws, -1))
    network.synthesis(styles[:2], noise=False).square().mean().backward()  # the first block alone
    optimiser.step(1e-3)
    moved = {name for name, values in network.named_parameters() if not torch.equal(values, before[name])}
    painted = {name for name, values in network.synthesis.named_parameters("synthesis") if values.grad is not None}
    assert moved == painted
    assert 0 < len(moved) < len(before)
