# SPDX-License-Identifier: Apache-2.0
"""The paper's regressor beside ours in a bundle, ``paper.safetensors``: it only serves to compare."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from effigy_protocol.files import is_file, parse_json

from ..editing.regressor import Regressor
from ..tensor_files import read_tensors, write_tensors
from .header import BundleError, sha256
from .regressors import arrays_of, describe, read_regressor

_FILE = "paper.safetensors"
_REASON = 300  # characters


def save_paper_regressor(folder: Path, regressor: Regressor) -> None:
    """Writes the paper's regressor, in float16, beside the model in ``folder`` that it belongs to. Raises OSError."""
    description = {
        "regressor": json.dumps(describe(regressor)),
        "model_sha256": sha256(folder / "model.safetensors"),
    }
    write_tensors(folder / _FILE, {k: v.half() for k, v in arrays_of(regressor).items()}, description)


def load_paper_regressor(folder: Path) -> Regressor | None:
    """Returns the paper's regressor, or None if the bundle in ``folder`` was fitted without. Raises BundleError."""
    path = folder / _FILE
    if not is_file(path):
        return None
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
        if metadata["model_sha256"] != sha256(folder / "model.safetensors"):
            return None  # left from an earlier fit
        return read_regressor(read_tensors(path), parse_json(metadata["regressor"]))
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = f"{type(error).__name__}: {error}"[:_REASON]
        raise BundleError(f"{path} is damaged ({reason}): remove it, or fit again") from None
