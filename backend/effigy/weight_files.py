# SPDX-License-Identifier: Apache-2.0
"""Weights of networks that users bring, as torch.save writes them: nothing in a file is run, and memory stays in
proportion to its size.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from effigy_protocol.files import file_problem

from .tensor_files import check_finite
from .zip_files import open_zip

_MOST_BYTES = 1 << 30  # VGG16 has half of it
_DIRECTORY = 1 << 20  # bytes of an archive's directory: some ten thousand tensors


def read_weights(path: Path, names: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Reads the tensors ``names`` (None: all) in ``path`` as float32, finite, without gradients. Raises ValueError that
    says what is wrong.
    """
    if problem := file_problem(path, "file of weights"):
        raise ValueError(problem)
    try:
        size = _checked_size(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__} and no tensors by name")
        weights = {name: _plain(name, found.get(name), size) for name in (found if names is None else names)}
        check_finite(weights)
    except Exception as error:  # noqa: BLE001 broken bytes may lead the unpickler anywhere
        raise ValueError(str(error).partition("\n")[0][:200] or type(error).__name__) from None
    return weights


def _checked_size(path: Path) -> int:
    """Returns the size of a file in bytes. Raises ValueError where reading it might take much more memory."""
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise ValueError(f"it has {size >> 20} MiB, more than weights may have ({_MOST_BYTES >> 20})")
    with path.open("rb") as file:
        if zipfile.is_zipfile(file):
            with open_zip(file, _DIRECTORY) as archive:
                if any(each.file_size != each.compress_size for each in archive.infolist()):
                    raise ValueError("its zip archive is compressed, which torch.save never does")
    return size


def _plain(name: object, values: object, size: int) -> Tensor:
    """Returns one tensor of a file of ``size`` bytes. Raises ValueError for what lies in none as torch.save writes
    networks.
    """
    if not isinstance(values, Tensor):
        raise ValueError(f"it holds no {str(name)[:80]}" if values is None else f"its {str(name)[:80]} is no tensor")
    if (
        values.layout != torch.strided
        or values.is_quantized
        or values.is_complex()
        or values.is_meta
        or values.numel() > size
    ):
        raise ValueError(f"its {str(name)[:80]} is no plain tensor of numbers")
    return values.detach().float()
