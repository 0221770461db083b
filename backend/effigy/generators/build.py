# SPDX-License-Identifier: Apache-2.0
"""From a network's shape to the network."""

from __future__ import annotations

from .networks.stylegan2 import StyleGAN2, StyleGAN2Config
from .networks.stylegan3 import StyleGAN3, StyleGAN3Config


def build_network(config: StyleGAN2Config | StyleGAN3Config) -> StyleGAN2 | StyleGAN3:
    """The network of that shape; its weights are whatever lay in memory."""
    return StyleGAN2(config) if isinstance(config, StyleGAN2Config) else StyleGAN3(config)
