# SPDX-License-Identifier: Apache-2.0
"""Generator files of our own: safetensors, with the network's shape as JSON in its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from effigy_protocol.files import parse_json

from ...tensor_files import write_tensors
from ..errors import ForeignError, MalformedError
from ..registry import architecture_of, architectures
from ..settings import make_config
from .checkpoint import Checkpoint, Config, Weight

FORMAT = "effigy-generator-1"


def read_own(path: Path) -> Checkpoint:
    """Opens the checkpoint in a file of our own format. Raises MalformedError or ForeignError."""
    try:
        file: Any = safe_open(path, framework="pt")
        metadata = file.metadata() or {}
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  no mapping
    except (SafetensorError, OSError) as error:
        raise MalformedError(f"it is damaged or not a safetensors file ({error})") from None
    architecture = next((known for known in architectures() if known.key in metadata), None)
    if metadata.get("format") != FORMAT or architecture is None:
        raise ForeignError("it holds no Effigy generator, but other tensors: give a generator's file")
    try:
        settings = parse_json(metadata[architecture.key])
    except ValueError as error:
        raise MalformedError(f"the shape of its network is no JSON ({error})") from None
    if not isinstance(settings, dict):
        raise MalformedError("it does not say what shape its network has")
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    tensors = {name: Weight(shape, partial(_read, file, name)) for name, shape in shapes.items()}
    config = make_config(architecture.config, fields)
    return Checkpoint("Effigy (safetensors)", config, tensors, metadata.get("licence", "none named"))


def _read(file: Any, name: str) -> Tensor:
    try:
        tensor: Tensor = file.get_tensor(name)
    except SafetensorError as error:
        raise MalformedError(f"its tensor {name[:80]!r} cannot be read ({error})") from None
    if not tensor.is_floating_point():
        raise MalformedError(f"its tensor {name[:80]!r} is of {tensor.dtype}, which weights are not")
    # A copy: safetensors maps the file, and whoever writes into it later would change the pictures, or end the process.
    return tensor.to(torch.float32, copy=True)


def write_own(path: Path, config: Config, state: Mapping[str, Tensor], licence: str = "") -> None:
    """Writes a generator's tensors as they are; the file is complete or not there. Raises OSError."""
    metadata = {"format": FORMAT, architecture_of(config).key: json.dumps(asdict(config))}
    write_tensors(path, state, metadata | ({"licence": licence} if licence else {}))
