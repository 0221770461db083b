# SPDX-License-Identifier: Apache-2.0
"""Effigy's own architectures, each in a file that registers it."""

from ..registry import register
from .stylegan2 import StyleGAN2Architecture
from .stylegan3 import StyleGAN3Architecture

register(StyleGAN2Architecture())
register(StyleGAN3Architecture())
