# SPDX-License-Identifier: Apache-2.0
"""Generator files of our own: safetensors, with the network's shape as JSON in its metadata."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ...tensor_files import write_tensors
from ..stylegan2 import StyleGAN2Config
from ..stylegan3 import StyleGAN3Config
from .checkpoint import Checkpoint, Config
from .unpickle import MalformedError

FORMAT = "effigy-generator-1"
_ARCHITECTURES: dict[str, type[Any]] = {"stylegan2": StyleGAN2Config, "stylegan3": StyleGAN3Config}


def read_own(path: Path) -> Checkpoint:
    """The checkpoint in our own file ``path``; raises MalformedError."""
    try:
        file: Any = safe_open(path, framework="pt")
        metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise MalformedError("it holds no Effigy generator, but other tensors: give a generator's file")
        architecture = next(name for name in _ARCHITECTURES if name in metadata)
        fields = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(metadata[architecture]).items()}
        config = _ARCHITECTURES[architecture](**fields)
        names = file.keys()
    except (SafetensorError, OSError, StopIteration, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, MalformedError):
            raise
        raise MalformedError(f"it is damaged or not a safetensors file ({error})") from None
    tensors: dict[str, Callable[[], Tensor]] = {name: partial(_read, file, name) for name in names}
    return Checkpoint("Effigy (safetensors)", config, tensors, metadata.get("licence", "none named"))


def _read(file: Any, name: str) -> Tensor:
    try:
        tensor: Tensor = file.get_tensor(name)
    except SafetensorError as error:
        raise MalformedError(f"its tensor {name[:80]!r} cannot be read ({error})") from None
    return tensor.float()


def write_own(path: Path, config: Config, state: Mapping[str, Tensor], licence: str = "") -> None:
    """Writes a generator's tensors as they are; the file is complete or not there. Raises OSError."""
    architecture = "stylegan2" if isinstance(config, StyleGAN2Config) else "stylegan3"
    metadata = {"format": FORMAT, architecture: json.dumps(asdict(config))}
    write_tensors(path, state, metadata | ({"licence": licence} if licence else {}))
