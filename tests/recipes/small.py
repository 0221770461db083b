# SPDX-License-Identifier: Apache-2.0
"""A training and a generator small enough for tests."""

from __future__ import annotations

import torch

from recipes.demo_face.train_generator import Plan, Training

# In float32, because whether a processor's bfloat16 is used is no matter of what is tested.
PLAN = Plan(resolution=16, channel_base=128, channel_max=16, pictures=96, batch=8, bfloat16=False)


def small_network():
    """Makes a small network in which no value equals that of a fresh one."""
    network, random = Training(PLAN).network, torch.Generator().manual_seed(1)
    with torch.no_grad():
        for values in [*network.parameters(), network.mapping.w_avg]:
            values += 0.3 * torch.randn(values.shape, generator=random)
    return network


def painted(network, z):
    return network.synthesize(network.mapping(z)[:, None].expand(-1, network.num_ws, -1), noise=True)
