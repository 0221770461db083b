# SPDX-License-Identifier: Apache-2.0
"""Adds channels or blocks to a generator without changing a pixel of its pictures.

New channels have random weights and nothing reads them yet, so training has gradients from the beginning (after
Chen, Goodfellow, Shlens, *Net2Net*, ICLR 2016, where new channels are copies that training must first separate).
"""

from __future__ import annotations

from dataclasses import replace

import torch

from effigy.generators.networks.dense import initialize
from effigy.generators.networks.stylegan2 import StyleGAN2, StyleGAN2Synthesis


@torch.no_grad()
def widened(network: StyleGAN2, channels: tuple[int, ...]) -> StyleGAN2:
    """Returns ``network``, trainable and not frozen, with ``channels`` in its blocks, from the first (4 × 4) up.

    Additional blocks only double the picture. Raises ValueError for fewer blocks, or fewer channels in one.
    """
    own = network.config.channels
    if len(channels) < len(own) or any(new < old for old, new in zip(own, channels, strict=False)):
        raise ValueError(f"blocks of {own} channels do not fit into blocks of {channels}")
    wide = StyleGAN2(replace(network.config, channels=channels))
    initialize(wide)
    state = wide.state_dict()
    for name, value in network.state_dict().items():
        new = state[name]
        if value.dim() == 4:  # a convolution's weights
            new[: len(value), value.shape[1] :] = 0  # new channels are not read …
        if ".torgb.weight" in name:
            value = value * (new.shape[1] / value.shape[1]) ** 0.5  # which the layer divides by √channels
        new[tuple(slice(length) for length in value.shape)] = value
    assert isinstance(wide.synthesis, StyleGAN2Synthesis)
    for block in wide.synthesis.blocks()[len(own) :]:
        block.torgb.weight.zero_()  # … nor shown
    return wide
