# SPDX-License-Identifier: Apache-2.0
"""Regressors on disk: arrays of a file, and an entry in the bundle's header or in the file's metadata."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..editing.network import architecture_of
from ..editing.regressor import Regressor, Whitening
from ..tensor_files import read_tensors, write_tensors

CORRECTION = "correction.safetensors"  # the output layer that edits corrected; it replaces that of the fit
_ROWS = 128  # rows of w+, more than any generator has


def describe(regressor: Regressor) -> dict[str, Any]:
    """Returns the regressor's entry."""
    return {"rows": regressor.rows, **asdict(regressor.architecture)}


def arrays_of(regressor: Regressor) -> dict[str, Tensor]:
    """Returns the arrays that ``read_regressor`` needs besides the entry, by name."""
    return {f"regressor.{k}": v.float().contiguous() for k, v in regressor.state_dict().items()}


def read_regressor(arrays: dict[str, Tensor], description: dict[str, Any]) -> Regressor:
    """Returns the regressor in float64, frozen, from its arrays and its entry.

    Raises KeyError, TypeError, ValueError or RuntimeError where they are damaged.
    """
    state = {k.removeprefix("regressor."): v.double() for k, v in arrays.items() if k.startswith("regressor.")}
    # The number of layers is bounded by that of the arrays, so that a damaged entry allocates nothing.
    architecture = architecture_of({k: v for k, v in description.items() if k != "rows"}, len(state))
    if not 1 <= description["rows"] <= _ROWS:
        raise ValueError(f"no regressor reads {str(description['rows'])[:20]} rows of w+")
    whitening = Whitening(state["whitening.mean"], state["whitening.basis"])
    with torch.device("meta"):
        regressor = Regressor(whitening, state["q_mean"], state["q_scale"], architecture, description["rows"]).double()
    regressor.load_state_dict(state, assign=True)
    return regressor.requires_grad_(requires_grad=False)


def save_correction(folder: Path, regressor: Regressor) -> None:
    """Writes the regressor's output layer to CORRECTION in ``folder``. Raises OSError."""
    arrays = {name: value.float().contiguous() for name, value in regressor.output_state().items()}
    write_tensors(folder / CORRECTION, arrays)


def apply_correction(folder: Path, regressor: Regressor) -> None:
    """Replaces the regressor's output layer, in place, by that of CORRECTION. Raises as ``read_regressor`` does."""
    arrays = {name: value.double() for name, value in read_tensors(folder / CORRECTION).items()}
    if arrays.keys() != regressor.output_state().keys():
        raise ValueError(f"{CORRECTION} is not of this regressor")
    regressor.load_state_dict(arrays, strict=False, assign=True)
    regressor.requires_grad_(requires_grad=False)


def describe_correction(entry: dict[str, Any]) -> str:
    """Describes a correction by its entry in the header, for users."""
    before, after = (entry[name] for name in ("edits_nme_percent_before", "edits_nme_percent"))
    return f"corrected by its edits ({before:.2f} → {after:.2f} % of the outer-eye distance)"
