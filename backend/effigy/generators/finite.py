# SPDX-License-Identifier: Apache-2.0
"""Detects NaN and infinity in pictures before rounding would make them black."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .checkpoints import GeneratorFileError
from .generator import Generator


class PictureError(GeneratorFileError):
    """A picture with NaN or infinite values; the message names the layer, and says what to do."""


def check_pictures(images: Tensor, generator: Generator, ws: Tensor) -> None:
    """Raises PictureError unless ``images``, which ``generator`` painted of ``ws`` [N, num_ws, w_dim], are finite."""
    if images.numel() and not all(math.isfinite(end) for end in torch.stack(torch.aminmax(images)).tolist()):
        raise PictureError(f"the picture holds NaN or infinite values, {_where(generator, ws)}")


def _where(generator: Generator, ws: Tensor) -> str:
    if not torch.isfinite(ws).all():
        return "because its latent does: go back to an earlier pose, or to another face"
    layer = _first_broken(generator, ws)
    if layer is None:
        return "but only in this preview: ask for a final"
    return f"from its layer {layer} on: give another face, or a generator whose training went well"


@torch.no_grad()
def _first_broken(generator: Generator, ws: Tensor) -> str | None:
    """Returns the first layer with a non-finite result; None if all are finite when painted as finals are."""
    broken: list[str] = []

    def note(name: str, _module: nn.Module, _given: Any, result: Any) -> None:
        results = [result] if isinstance(result, Tensor) else result
        if not all(torch.isfinite(part).all() for part in results):
            broken.append(name)

    if not isinstance(generator, nn.Module):
        return "to RGB"
    hooks = [module.register_forward_hook(partial(note, name)) for name, module in generator.named_modules()]
    try:
        generator.synthesize(ws)
    finally:
        for hook in hooks:
            hook.remove()
    return broken[0] if broken else None
