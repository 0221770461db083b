# SPDX-License-Identifier: Apache-2.0
"""Latent editing: the regressor φ(w) → q and its local inverse Ω: (w0, q*) → w."""

from .identity_term import keep_identity
from .inverse import METHODS, IdentityTerm, InverseOptions, Method, invert
from .parameters import Parameters
from .regressor import Regressor
from .training import PRESETS, Training, train_regressor

__all__ = [
    "METHODS",
    "PRESETS",
    "IdentityTerm",
    "InverseOptions",
    "Method",
    "Parameters",
    "Regressor",
    "Training",
    "invert",
    "keep_identity",
    "train_regressor",
]
