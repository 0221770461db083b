# SPDX-License-Identifier: Apache-2.0
"""Reads single tensors and arrays, as ``torch.save`` and pickles hold them: directions and components of latents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from effigy_protocol.files import file_problem

from ..errors import ForeignError, MalformedError
from .checkpoint import GeneratorFileError
from .open import LEGACY_TORCH
from .tensors import TensorFile

_MOST = 256  # tensors of a file


def read_loose_tensors(path: Path) -> dict[str, Tensor]:
    """Reads the tensors of a file of ``torch.save`` or a pickle, in float32, by their keys.

    A single one has the key "". Executes nothing in the file. Raises GeneratorFileError that says what is wrong.
    """
    if problem := file_problem(path):
        raise GeneratorFileError(problem)
    try:
        with path.open("rb") as file:
            head = file.read(64)
            tensors = TensorFile(file)
            if head[:2] == b"PK":
                root = tensors.load_zip()
            elif head[2:14] == LEGACY_TORCH:
                root = tensors.load_stream()
            elif head[:1] == b"\x80":
                root = tensors.load_pickle()
            else:
                raise MalformedError("it is neither a file of torch.save nor a pickle")
            return {name: _finite(name, stored.read()) for name, stored in _stored(tensors, root).items()}
    except (ForeignError, MalformedError, OSError) as error:
        raise GeneratorFileError(f"{path} cannot be used: {error}") from None
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError) as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        raise GeneratorFileError(f"{path} is damaged, or of a kind that Effigy does not know ({reason})") from None


def _stored(file: TensorFile, root: Any) -> dict[str, Any]:
    if (single := file.tensor(root)) is not None:
        return {"": single}
    if not isinstance(root, dict):
        raise ForeignError("it holds neither a tensor nor tensors by name")
    found = {key: stored for key in root if isinstance(key, str) and (stored := file.tensor(root[key])) is not None}
    if not 0 < len(found) <= _MOST:
        raise ForeignError(f"it holds {len(found)} tensors by name, where directions of latents are expected")
    return found


def _finite(name: str, values: Tensor) -> Tensor:
    if not torch.isfinite(values).all():
        raise ForeignError(f"its {name[:80] or 'tensor'} holds NaN or infinite values")
    return values
