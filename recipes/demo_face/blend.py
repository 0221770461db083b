# SPDX-License-Identifier: Apache-2.0
"""One generator from two that went on from the same weights: the mean of their weights.

It errs less than either (Wortsman et al., *Model soups*, ICML 2022): what each learnt of its own last pictures
cancels out.
"""

from __future__ import annotations

import torch

from effigy.generators.stylegan2 import StyleGAN2


@torch.no_grad()
def blended(one: StyleGAN2, other: StyleGAN2, share: float) -> StyleGAN2:
    """A generator whose weights are those of ``one`` with a ``share`` (0 … 1) of those of ``other``.

    Raises ValueError for generators of different shapes.
    """
    if one.config != other.config:
        raise ValueError(f"a generator of {one.config} and one of {other.config} cannot be blended")
    network = StyleGAN2(one.config)
    theirs = other.state_dict()
    network.load_state_dict({name: value.lerp(theirs[name], share) for name, value in one.state_dict().items()})
    return network
