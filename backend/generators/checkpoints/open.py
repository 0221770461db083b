# SPDX-License-Identifier: Apache-2.0
"""Which format a generator file has, by its first bytes: names tell nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .checkpoint import Checkpoint, GeneratorFileError
from .nvidia import read_nvidia
from .own import read_own
from .rosinality import read_rosinality
from .tensorflow import is_tensorflow, read_tensorflow
from .tensors import TensorFile
from .unpickle import MalformedError

_LEGACY_TORCH = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"  # the number with which torch.save began


@contextmanager
def open_checkpoint(path: Path) -> Iterator[Checkpoint]:
    """The checkpoint in ``path``, for as long as the context lasts. Nothing in the file is executed.

    Raises GeneratorFileError, also from within, that names the file, what is wrong with it and what to do.
    """
    if path.is_dir():
        raise GeneratorFileError(f"{path} is a folder: give the generator file in it")
    if not path.is_file():
        raise GeneratorFileError(f"there is no generator file {path}: give the path of one")
    try:
        with path.open("rb") as file:
            yield _read(path, file)
    except (MalformedError, OSError) as error:
        raise GeneratorFileError(f"{path} cannot be read: {error}. Fetch it again, or give another file") from None
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError) as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        raise GeneratorFileError(f"{path} is damaged ({reason}): fetch it again") from None


def _read(path: Path, file: BinaryIO) -> Checkpoint:
    head = file.read(64)
    if head[8:9] == b"{":
        return read_own(path)
    tensors = TensorFile(file)
    if head[:2] == b"PK":
        return read_rosinality(tensors, tensors.load_zip())
    if head[2:14] == _LEGACY_TORCH:
        return read_rosinality(tensors, tensors.load_stream())
    if head[:1] == b"\x80":
        root = tensors.load_pickle()
        return read_tensorflow(tensors, root) if is_tensorflow(root) else read_nvidia(tensors, root)
    raise MalformedError("it is none of the formats that hold StyleGAN weights (.pkl, .pt, .safetensors)")
