# SPDX-License-Identifier: Apache-2.0
"""Gives a generator's pictures a film's grain, by its noise: all colours alike, and neither alpha, normals nor depth.

A regression cannot learn noise. So the last channel of the finest layer is kept silent in training, and then made to
carry the noise to the colours and nothing else. The same strength of noise reaches the layer's other channels too; it
is so small, and the carrier's weight in the colours so large, that there it changes nothing that can be seen.
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

GRAIN = 2.0  # of 255, standard deviation
_BLUR = 0.6  # pixels, standard deviation
_STRENGTH = 0.002  # of the noise, beside channels that vary by about 1
_FARTHEST = 6.0  # standard deviations of the noise


def grain(size: int) -> Tensor:
    """Makes [S, S] of mean 0 and variance 1, the same at every call: noise constants are the same for all pictures."""
    plane = gaussian_filter(np.random.default_rng(size).standard_normal((size, size)), _BLUR, mode="wrap")
    return torch.from_numpy(((plane - plane.mean()) / plane.std()).astype(np.float32))


@torch.no_grad()
def silence_carrier(network: StyleGAN2) -> None:
    """Has the carrier of ``network`` read and show nothing: it has no gradients then, and stays so in training."""
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
    """Returns what ``grained`` has made ``network`` of; a network without grain as it is."""
    out = copy.deepcopy(network)
    block = _last(out)
    if not block.conv1.weight[-1].any() and not block.torgb.affine.weight[-1].any():  # a constant, but for the noise
        style = block.torgb.affine.bias[-1] * block.torgb.affine.bias_gain * block.torgb.gain
        block.torgb.bias.add_(block.torgb.weight[:, -1, 0, 0] * style * SQRT2 * block.conv1.bias[-1])
        block.conv1.noise_strength.zero_()
        silence_carrier(out)
    return out


def _last(network: StyleGAN2) -> Block:
    assert isinstance(network.synthesis, StyleGAN2Synthesis)
    return network.synthesis.blocks()[-1]
