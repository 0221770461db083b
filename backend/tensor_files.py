# SPDX-License-Identifier: Apache-2.0
"""Writing safetensors files as any other file is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Writes ``tensors``; the file is complete or not there, and whoever may read new files may read it.

    safetensors by itself (0.8) lets only the owner read what it writes: a farm runs as somebody else. Raises OSError.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.unlink(missing_ok=True)  # a crash's, which only its owner may read
        temporary.touch()
        permissions = temporary.stat().st_mode & 0o777
        whole = {name: value.contiguous() for name, value in tensors.items()}
        save_file(whole, temporary, metadata=dict(metadata) if metadata else None)
        temporary.chmod(permissions)
        temporary.replace(path)
    except SafetensorError as error:
        raise OSError(str(error)) from None
    finally:
        temporary.unlink(missing_ok=True)
