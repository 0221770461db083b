# SPDX-License-Identifier: Apache-2.0
"""Latent editing: the regressor φ(w) → q and its local inverse Ω: (w0, q*) → w."""

from .inverse import METHODS, InverseOptions, Method, invert
from .parameters import Parameters
from .regressor import Regressor
from .training import train_regressor

__all__ = ["METHODS", "InverseOptions", "Method", "Parameters", "Regressor", "invert", "train_regressor"]
