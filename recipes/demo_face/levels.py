# SPDX-License-Identifier: Apache-2.0
"""Levels the alpha of a trained generator: what is nearly clear becomes clear, what is nearly solid solid.

A regression paints a few percent of alpha along the borders of a picture and behind the head, which in a shot show as
the edges of the plate.
"""

from __future__ import annotations

import copy

import torch

from effigy.generators.networks.stylegan2 import StyleGAN2, StyleGAN2Synthesis

from .planes import ALPHA

CLEAR, SOLID = 0.06, 0.99  # of painted alpha: what becomes 0 and 1


@torch.no_grad()
def levelled(network: StyleGAN2, clear: float = CLEAR, solid: float = SOLID) -> StyleGAN2:
    """Returns the generator with alpha a turned into (a − ``clear``) / (``solid`` − ``clear``), all else unchanged.

    Every block adds its share of alpha, so all of them are multiplied; the last one's bias shifts the sum.
    """
    out = copy.deepcopy(network)
    assert isinstance(out.synthesis, StyleGAN2Synthesis)
    blocks, gain = out.synthesis.blocks(), 1 / (solid - clear)
    for block in blocks:
        block.torgb.weight[ALPHA] *= gain
        block.torgb.bias[ALPHA] *= gain
    blocks[-1].torgb.bias[ALPHA] += gain * (1 - 2 * clear) - 1  # in [−1, 1], where 2a − 1 is painted
    return out


def unlevelled(network: StyleGAN2, clear: float = CLEAR, solid: float = SOLID) -> StyleGAN2:
    """Returns the generator that ``levelled`` has made ``network`` of: training goes on with what alpha was."""
    return levelled(network, -clear / (solid - clear), (1 - clear) / (solid - clear))
