# SPDX-License-Identifier: Apache-2.0
"""Regressors, as a bundle keeps them: arrays of a file, and an entry of its header or of the file's own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..editing.network import architecture_of
from ..editing.regressor import Regressor, Whitening
from ..tensor_files import read_tensors, write_tensors

CORRECTION = "correction.safetensors"  # what edits taught: the output layer, which takes the place of the fit's
_ROWS = 128  # of w+, of the deepest generator


def describe(regressor: Regressor) -> dict[str, Any]:
    """Its entry."""
    return {"rows": regressor.rows, **asdict(regressor.architecture)}


def arrays_of(regressor: Regressor) -> dict[str, Tensor]:
    """All that ``read_regressor`` needs besides the entry."""
    return {f"regressor.{k}": v.float().contiguous() for k, v in regressor.state_dict().items()}


def read_regressor(arrays: dict[str, Tensor], description: dict[str, Any]) -> Regressor:
    """The regressor, frozen; raises what damaged arrays raise: KeyError, TypeError, ValueError or RuntimeError."""
    state = {k.removeprefix("regressor."): v.double() for k, v in arrays.items() if k.startswith("regressor.")}
    # What it only claims to have, no layer is made for.
    architecture = architecture_of({k: v for k, v in description.items() if k != "rows"}, len(state))
    if not 1 <= description["rows"] <= _ROWS:
        raise ValueError(f"no regressor reads {str(description['rows'])[:20]} rows of w+")
    whitening = Whitening(state["whitening.mean"], state["whitening.basis"])
    with torch.device("meta"):
        regressor = Regressor(whitening, state["q_mean"], state["q_scale"], architecture, description["rows"]).double()
    regressor.load_state_dict(state, assign=True)
    return regressor.requires_grad_(requires_grad=False)


def save_correction(folder: Path, regressor: Regressor) -> None:
    """Writes CORRECTION into ``folder``."""
    arrays = {name: value.float().contiguous() for name, value in regressor.output_state().items()}
    write_tensors(folder / CORRECTION, arrays)


def apply_correction(folder: Path, regressor: Regressor) -> None:
    """Gives a regressor the output layer of CORRECTION; raises as ``read_regressor`` does."""
    arrays = {name: value.double() for name, value in read_tensors(folder / CORRECTION).items()}
    if arrays.keys() != regressor.output_state().keys():
        raise ValueError(f"{CORRECTION} is not of this regressor")
    regressor.load_state_dict(arrays, strict=False, assign=True)
    regressor.requires_grad_(requires_grad=False)


def describe_correction(entry: dict[str, Any]) -> str:
    """What the header's entry of a correction says, in words."""
    before, after = (entry[name] for name in ("edits_nme_percent_before", "edits_nme_percent"))
    return f"corrected by its edits ({before:.2f} → {after:.2f} % of the outer-eye distance)"
