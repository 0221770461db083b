# SPDX-License-Identifier: Apache-2.0
"""Blends two generators that were trained from the same weights, by averaging theirs.

The result errs less than either (Wortsman et al., *Model soups*, ICML 2022), because what each learnt from its own
last pictures cancels out.
"""

from __future__ import annotations

import torch

from effigy.generators.networks.stylegan2 import StyleGAN2

from .grain import has_grain


@torch.no_grad()
def blended(one: StyleGAN2, other: StyleGAN2, share: float) -> StyleGAN2:
    """Returns a generator with the weights (1 − share) · ``one`` + share · ``other``; ``share`` is 0 … 1.

    Raises ValueError for generators of different shapes, and where one alone has grain.
    """
    if one.config != other.config:
        raise ValueError(f"a generator of {one.config} and one of {other.config} cannot be blended")
    if has_grain(one) != has_grain(other):
        raise ValueError("one of them has grain, which is no average of channels: train the other, too")
    network = StyleGAN2(one.config)
    theirs = other.state_dict()
    network.load_state_dict({name: value.lerp(theirs[name], share) for name, value in one.state_dict().items()})
    return network
