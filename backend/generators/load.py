# SPDX-License-Identifier: Apache-2.0
"""Generator files of our own: safetensors, with the network's shape as JSON in its metadata."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .generator import Generator
from .stylegan2 import StyleGAN2, StyleGAN2Config

FORMAT = "effigy-generator-1"
_FOREIGN = (".pkl", ".pt", ".pth")  # of other code bases
_LARGE = 1024  # values; smaller arrays (biases, strengths, filters) stay float32


class GeneratorFileError(Exception):
    """A generator file that is absent, damaged, or not of a known format."""


def save_generator(network: StyleGAN2, path: Path) -> None:
    """Writes ``network`` with weights in half precision: large arrays as float16, the rest as float32."""
    state = {
        name: value.half().contiguous() if value.numel() > _LARGE else value.float().contiguous()
        for name, value in network.state_dict().items()
    }
    temporary = path.with_name(path.name + ".part")
    save_file(state, temporary, metadata={"format": FORMAT, "stylegan2": json.dumps(asdict(network.config))})
    temporary.replace(path)


def load_generator(path: Path, device: str = "auto") -> Generator:
    """The generator in ``path``, in float32 on ``device`` ("auto": CUDA when there is one).

    Raises GeneratorFileError that names the file, what is wrong with it and what to do.
    """
    config, state = _read(path)
    try:
        network = StyleGAN2(config)
        network.load_state_dict({name: value.float() for name, value in state.items()})
    except (RuntimeError, TypeError) as error:
        raise GeneratorFileError(f"the weights in {path} do not fit the network it describes: {error}") from None
    network.requires_grad_(requires_grad=False).eval().to(resolve_device(device))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def resolve_device(device: str) -> torch.device:
    """The torch device that "auto", "cpu" or "cuda" means here."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise GeneratorFileError(f"device {device!r} cannot be used ({reason}): use auto or cpu") from None
    return torch.device(device)


def _read(path: Path) -> tuple[StyleGAN2Config, dict[str, Tensor]]:
    if not path.is_file():
        raise GeneratorFileError(f"there is no generator file {path}: give the path of one")
    if path.suffix in _FOREIGN:
        raise GeneratorFileError(f"{path}: {path.suffix} files cannot be read yet, only Effigy's own .safetensors")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise GeneratorFileError(
                    f"{path} holds no Effigy generator, but other tensors: give a generator's file"
                )
            fields = json.loads(metadata["stylegan2"])
            config = StyleGAN2Config(**{**fields, "channels": tuple(fields["channels"])})
            return config, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 not a dict
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise GeneratorFileError(f"{path} is damaged or not a safetensors file ({error}): fetch it again") from None
