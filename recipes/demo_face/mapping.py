# SPDX-License-Identifier: Apache-2.0
"""Builds the default's mapping z → w by hand: w = m + SIZE · S p, linear in the renderer's parameters p.

Nothing about it is learnt. ``latents`` says which parameters a latent means, by a gate that is linear in pieces, and a
dense layer with leaky ReLUs computes such functions exactly. S [W_DIM, COUNT] has orthonormal columns, so w gives every
parameter the same room. A mapping that was taught gave yaw seventeen times as much of it as an open mouth, knew what
opens only as far as that is linear in z, and after 170 000 pictures its generator had not opened one mouth.

m = OFFSET in every entry keeps w above zero, where the last leaky ReLU is the identity. Training knows nothing of it:
it gives the synthesis w − m, whose mean is zero (``centred``), and ``with_mapping`` makes the whole of both.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor

from effigy.generators.networks.dense import FullyConnected, Mapping
from effigy.generators.networks.operations import SQRT2
from effigy.generators.networks.stylegan2 import StyleGAN2

from .latents import BEFORE, CLOSES, GATED, OPENS, OPENS_BELOW, REST, STEEPER, Z_DIM, directions
from .parameters import COUNT

W_DIM = 256
LAYERS = 2
SIZE = 2.0  # of a standard deviation of a parameter, in w: entries of w vary by about 1
OFFSET = 5.5  # five standard deviations of an entry of w
_LEAK = 0.2  # slope of the leaky ReLUs below zero


def code(p: Tensor) -> Tensor:
    """Maps parameters p [N, COUNT] to w − m [N, W_DIM]."""
    return SIZE * p @ _columns().T.to(p.device)


def parameters_of_code(w: Tensor) -> Tensor:
    """Maps w [N, W_DIM], as the default's mapping gives it, to the parameters p [N, COUNT] that it means."""
    return (w - OFFSET) @ _columns().to(w) / SIZE


@cache
def _columns() -> Tensor:
    """Returns S: waves of COUNT / 2 frequencies, each as cosine and sine, so that all of w's entries vary alike."""
    phase = torch.arange(W_DIM)[:, None] * torch.arange(1, COUNT // 2 + 1) * (2 * math.pi / W_DIM)
    return torch.cat([phase.cos(), phase.sin()], dim=1) * (2 / W_DIM) ** 0.5


@torch.no_grad()
def with_mapping(synthesis: StyleGAN2) -> StyleGAN2:
    """Returns a generator on the CPU that paints from z what ``synthesis`` paints from w − m."""
    network = copy.deepcopy(synthesis).cpu()
    _build(network.mapping)
    _move(network, -OFFSET)
    return network


@torch.no_grad()
def centred(network: StyleGAN2) -> StyleGAN2:
    """Returns what paints from w − m as ``network`` from w: the inverse of ``with_mapping``.

    Raises ValueError for a network whose mapping is not this one.
    """
    wanted = copy.deepcopy(network)
    _build(wanted.mapping)
    z = torch.randn(64, Z_DIM, generator=torch.Generator().manual_seed(0))
    if not torch.allclose(wanted.mapping(z), network.mapping(z), atol=0.05):  # weights are stored in half precision
        raise ValueError("its mapping is not what mapping.py builds: begin without it")
    _move(wanted, OFFSET)
    return wanted


def _affines(network: StyleGAN2) -> Iterator[FullyConnected]:
    """Yields the layers that read w."""
    for name, module in network.synthesis.named_modules():
        if name.endswith("affine") and isinstance(module, FullyConnected):
            yield module


def _move(network: StyleGAN2, by: float) -> None:
    """Has the synthesis read w + ``by`` for w."""
    for layer in _affines(network):
        layer.bias.add_(layer.weight.sum(dim=1), alpha=by * layer.weight_gain / layer.bias_gain)


def _build(mapping: Mapping) -> None:
    """Writes the weights.

    The first layer has units for each g = A ẑ and for −g, and for ± g less each of its gate's two corners. The second
    reads p from them: with the leaky ReLU l, x = (l(x) − l(−x)) / 1.2 and relu(x) = (l(x) − 0.2 x) / 0.8. A gate that
    opens above 0 alone reads nothing from the corners of −g.
    """
    first, second = mapping.get_submodule("fc0"), mapping.get_submodule("fc1")
    assert isinstance(first, FullyConnected)
    assert isinstance(second, FullyConnected)
    A = directions(Z_DIM)
    each, corners = torch.eye(COUNT), torch.eye(COUNT)[GATED]
    g_of_unit = torch.cat([each, -each, corners, -corners, corners, -corners])  # g [COUNT] → units before the ReLU
    start_of_unit = torch.cat([torch.zeros(2 * COUNT), OPENS, OPENS, CLOSES, CLOSES])
    units = len(g_of_unit)

    linear = torch.ones(COUNT)  # p = linear · g + what the corners add
    linear[GATED] = BEFORE
    closing = 1 - BEFORE - STEEPER
    bends = torch.stack([STEEPER, -STEEPER * OPENS_BELOW, closing, -closing * OPENS_BELOW])  # [4, gated]
    to_p = torch.zeros(COUNT, units)
    to_p[:, 2 * COUNT :] = bends.flatten() / (1 - _LEAK) * torch.cat([corners.T] * 4, dim=1)
    # relu(± g − corner) takes off 0.2 of what is in it: that is linear in g, and a constant.
    signs, at = torch.tensor([1.0, -1.0, 1.0, -1.0])[:, None], torch.stack([OPENS, OPENS, CLOSES, CLOSES])
    linear[GATED] -= _LEAK / (1 - _LEAK) * (bends * signs).sum(0)
    constant = REST.clone()
    constant[GATED] += _LEAK / (1 - _LEAK) * (bends * at).sum(0)
    to_p[:, : 2 * COUNT] = torch.cat([torch.diag(linear), -torch.diag(linear)], dim=1) / (1 + _LEAK)

    for layer, weight, bias in (
        (first, g_of_unit @ A / SQRT2, -start_of_unit / SQRT2),
        (second, SIZE * _columns() @ to_p / SQRT2, (OFFSET + code(constant[None])[0]) / SQRT2),
    ):
        layer.weight.zero_()
        layer.bias.zero_()
        layer.weight[: len(weight), : weight.shape[1]] = weight / layer.weight_gain
        layer.bias[: len(bias)] = bias / layer.bias_gain
    mapping.w_avg.copy_(OFFSET + code(REST[None])[0])
