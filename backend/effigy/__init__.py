# SPDX-License-Identifier: Apache-2.0
"""Effigy's backend: from a camera and an expression to a picture, by a latent edit of a pretrained StyleGAN."""

__version__ = "0.1.0"
