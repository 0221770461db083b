# SPDX-License-Identifier: Apache-2.0
"""Detects a generator file's format by its first bytes; file names are ignored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from effigy_protocol.files import file_problem

from ...tensor_files import is_out_of_memory
from ..errors import ForeignError, MalformedError
from .checkpoint import Checkpoint, GeneratorFileError, Weight
from .matching import check_size, misfit, skeleton
from .nvidia import read_nvidia
from .own import read_own
from .tensorflow import is_tensorflow, read_tensorflow
from .tensors import TensorFile
from .torch_files import read_torch_file

LEGACY_TORCH = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"  # the number with which torch.save began


@contextmanager
def open_checkpoint(path: Path) -> Iterator[Checkpoint]:
    """Opens the checkpoint in ``path`` for as long as the context lasts. Executes nothing in the file.

    It has all tensors that its network needs, in the right shapes; reading one checks that its numbers are finite.
    Raises GeneratorFileError, also while it is open, that names the file, what is wrong with it and what to do.
    """
    if problem := file_problem(path, "generator file"):
        raise GeneratorFileError(problem if problem.endswith("in it") else f"{problem}: give the generator file")
    try:
        with path.open("rb") as file:
            checkpoint = _read(path, file)
            network = skeleton(checkpoint.config)
            shapes = {name: weight.shape for name, weight in checkpoint.tensors.items()}
            if difference := misfit(network, checkpoint.config, shapes):
                raise ForeignError(difference)
            check_size(network, path.stat().st_size)
            yield replace(checkpoint, tensors={name: _checked(name, w) for name, w in checkpoint.tensors.items()})
    except ForeignError as error:
        raise GeneratorFileError(f"{path} cannot be used: {error}") from None
    except (MalformedError, OSError) as error:
        raise GeneratorFileError(f"{path} cannot be read: {error}. Fetch it again, or give another file") from None
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise GeneratorFileError(f"{path} does not fit into the memory that is free: free some") from None
        reason = f"{type(error).__name__}: {error}"[:200]
        unknown = f"{path} is damaged, or of a kind that Effigy does not know ({reason})"
        raise GeneratorFileError(f"{unknown}: fetch it again, or give another file") from None


def _checked(name: str, weight: Weight) -> Weight:
    return Weight(weight.shape, partial(_read_finite, name, weight.read))


def _read_finite(name: str, read: Callable[[], Tensor]) -> Tensor:
    values = read()
    if not torch.isfinite(values).all():
        raise ForeignError(
            f"its {name} holds NaN or infinite values, with which nothing can be painted: "
            "if its training went astray, give an earlier snapshot"
        )
    return values


def _read(path: Path, file: BinaryIO) -> Checkpoint:
    head = file.read(64)
    if head[8:9] == b"{":
        return read_own(path)
    tensors = TensorFile(file)
    if head[:2] == b"PK":
        return read_torch_file(tensors, tensors.load_zip())
    if head[2:14] == LEGACY_TORCH:
        return read_torch_file(tensors, tensors.load_stream())
    if head[:1] == b"\x80":
        root = tensors.load_pickle()
        return read_tensorflow(tensors, root) if is_tensorflow(root) else read_nvidia(tensors, root)
    raise MalformedError("it is none of the formats that hold StyleGAN weights (.pkl, .pt, .safetensors)")
