# SPDX-License-Identifier: Apache-2.0
"""Gives a generator's pictures grain like a film's: all colours alike, and neither alpha, normals nor depth.

Grain comes by the noise constants, so it is the same in all pictures. A regression cannot learn noise. So one channel,
the *carrier*, which is the last one of the finest layer, is kept silent in training, and then made to carry the noise
to the colours and nothing else. The same strength of noise reaches the layer's other channels too; it is so small, and
the carrier's weight in the colours so large, that there it changes nothing that can be seen.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from effigy.generators.networks.operations import SQRT2
from effigy.generators.networks.stylegan2 import Block, StyleGAN2, StyleGAN2Synthesis

from .planes import RGB

GRAIN = 1.5  # of 255, standard deviation; 2 and more show as blotches where a face is enlarged
_BLUR = 0.6  # pixels, standard deviation
_STRENGTH = 0.0002  # of the noise, beside channels that vary by about 1: alpha changes by 0.5 of 255 at most
_FARTHEST = 6.0  # standard deviations, farther than the noise of any size goes


def grain(size: int) -> Tensor:
    """Makes [S, S] of mean 0 and variance 1, the same at every call: noise constants are the same for all pictures."""
    plane = gaussian_filter(np.random.default_rng(size).standard_normal((size, size)), _BLUR, mode="wrap")
    return torch.from_numpy(((plane - plane.mean()) / plane.std()).astype(np.float32))


@torch.no_grad()
def silence_carrier(network: StyleGAN2) -> None:
    """Has the last channel of the finest layer, the carrier, read and show nothing.

    It has no gradients then, and stays so in training. Pictures lose what it showed.
    """
    block = _last(network)
    block.conv1.weight[-1], block.conv1.bias[-1] = 0, 0
    block.torgb.weight[:, -1] = 0


@torch.no_grad()
def grained(network: StyleGAN2) -> StyleGAN2:
    """Returns ``network``, whose carrier is silent, with noise that adds GRAIN to the colours.

    The carrier's value is bias + noise, kept above zero, where the leaky ReLU is linear; the picture's bias takes the
    bias off again. Raises ValueError when the carrier is not silent.
    """
    out = copy.deepcopy(network)
    block = _last(out)
    if block.conv1.weight[-1].any() or block.torgb.weight[:, -1].any():
        raise ValueError("the last channel of its finest layer shows something: train it with silence_carrier")
    block.conv1.noise_const.copy_(grain(len(block.conv1.noise_const)))
    block.conv1.noise_strength.fill_(_STRENGTH)
    bias = _FARTHEST * _STRENGTH
    block.conv1.bias[-1] = bias
    block.torgb.affine.weight[-1], block.torgb.affine.bias[-1] = 0, 1 / block.torgb.affine.bias_gain
    weight = GRAIN / 127.5 / (SQRT2 * _STRENGTH)
    block.torgb.weight[RGB, -1] = weight / block.torgb.gain  # whose style is 1
    block.torgb.bias[RGB] -= weight * SQRT2 * bias
    return out


@torch.no_grad()
def ungrained(network: StyleGAN2) -> StyleGAN2:
    """Returns the network that was given to ``grained``, or one without grain as it is.

    What carried the grain reads at random and shows nothing, so that it can learn where it is the carrier no more.
    """
    out = copy.deepcopy(network)
    if has_grain(out):
        block = _last(out)
        style = block.torgb.affine.bias[-1] * block.torgb.affine.bias_gain * block.torgb.gain
        block.torgb.bias.add_(block.torgb.weight[:, -1, 0, 0] * style * SQRT2 * block.conv1.bias[-1])
        block.conv1.noise_strength.zero_()
        block.conv1.weight[-1].normal_(generator=torch.Generator().manual_seed(0))
        block.conv1.bias[-1] = 0
        block.torgb.weight[:, -1] = 0
    return out


def has_grain(network: StyleGAN2) -> bool:
    """Returns whether ``grained`` has made ``network``: its carrier is constant but for the noise, and is shown."""
    block = _last(network)
    is_constant = not block.conv1.weight[-1].any() and not block.torgb.affine.weight[-1].any()
    return is_constant and bool(block.torgb.weight[:, -1].any())


def _last(network: StyleGAN2) -> Block:
    assert isinstance(network.synthesis, StyleGAN2Synthesis)
    return network.synthesis.blocks()[-1]
