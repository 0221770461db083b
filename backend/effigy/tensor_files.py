# SPDX-License-Identifier: Apache-2.0
"""Safetensors files: reading checks that all numbers are finite; writing is atomic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from effigy_protocol.files import file_problem, whole_file


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Reads the tensors in the file ``path``, all of them finite. Raises ValueError that says what is wrong."""
    if problem := file_problem(path):
        raise ValueError(problem)
    try:
        # Copies: what ``load_file`` returns lies in the file, and changes with it.
        tensors = {name: values.clone() for name, values in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged, or no safetensors file ({error})") from None
    check_finite(tensors)
    return tensors


def is_out_of_memory(error: Exception) -> bool:
    """Returns whether ``error`` means that memory ran out, rather than that a file is wrong. On CPUs PyTorch has no
    class for it.
    """
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def check_finite(tensors: Mapping[str, Tensor]) -> None:
    """Raises ValueError that names a tensor with NaN or infinite values."""
    for name, values in tensors.items():
        if not torch.isfinite(values).all():
            raise ValueError(f"its {name[:80]} holds NaN or infinite values")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Writes ``tensors`` atomically, with the usual permissions of new files.

    safetensors itself (0.8) writes files that only their owner can read, but render farms often run as another user.
    Raises OSError.
    """
    try:
        with whole_file(path) as temporary:
            temporary.unlink(missing_ok=True)  # a crash's, which only its owner may read
            temporary.touch()
            permissions = temporary.stat().st_mode & 0o777
            whole = {name: value.contiguous() for name, value in tensors.items()}
            save_file(whole, temporary, metadata=dict(metadata) if metadata else None)
            temporary.chmod(permissions)
    except SafetensorError as error:
        raise OSError(str(error)) from None
