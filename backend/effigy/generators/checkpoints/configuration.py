# SPDX-License-Identifier: Apache-2.0
"""Derives our network's configuration from a foreign file's settings and tensors, or says why we have no such
network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..architectures.stylegan import HAS
from ..errors import ForeignError, MalformedError
from ..registry import architecture_of, recognise
from ..weights import Shapes, Tensors, Weight
from .checkpoint import Config

_NAME = 200  # characters
# What a name tells of a network: its kind, of which Effigy has none.
_RELATIVES = {
    r".*/StyleMod/.*|.*ToRGB_lod\d+/.*|g_synthesis\..*": "a StyleGAN of 2019 (AdaIN), or a progressive GAN",
    r"(?:.*\.)?iwt\..*": "a SWAGAN (StyleGAN2 that paints wavelets)",
    r"mapping\.embed_proj\..*": "a StyleGAN-XL, which is conditional on a label",
    r"mapping\.embed\..*": "conditional on a label",
    r"backbone\.synthesis\..*|superresolution\..*": "an EG3D, which paints from a volume",
    r".*\.skip\.weight": "of the architecture 'resnet'",
}


def read_config(settings: Mapping[str, Any], shapes: Shapes) -> Config:
    """Returns the settings of the network whose tensors have ``shapes``. Raises ForeignError for an unknown one."""
    refuse_relatives(shapes)
    architecture = recognise(shapes)
    if architecture is None:
        raise ForeignError(f"its generator is neither StyleGAN2 nor StyleGAN3: {HAS}")
    return architecture.read_config(dict(settings), shapes)


def regular(config: Config, tensors: Tensors) -> tuple[dict[str, Weight], tuple[str, ...]]:
    """Returns the tensors of our network, with replacements for optional ones that the file lacks, and remarks on
    those.

    Raises ForeignError if a part of the file differs from our network's.
    """
    kept = dict(tensors)
    return kept, tuple(architecture_of(config).complete(config, kept))


def refuse_relatives(shapes: Shapes) -> None:
    """Raises ForeignError for a network that resembles ours, recognised by tensor names in its own code base or
    ours.
    """
    names = [name for name in shapes if len(name) <= _NAME]  # a pattern's cost may grow as a name's length squared
    for pattern, kind in _RELATIVES.items():
        if any(re.fullmatch(pattern, name) for name in names):
            raise ForeignError(f"its generator is {kind}: {HAS}")


def short(name: Any) -> str:
    """Returns ``name``. Raises MalformedError unless it is a text of bounded length."""
    if not isinstance(name, str) or len(name) > _NAME:
        raise MalformedError("a part of it has no proper name")
    return name


def dictionary(state: Mapping[str, Any], name: str) -> dict[Any, Any]:
    """Returns the attribute ``name`` of a module, a dictionary; {} if it is missing."""
    value = state.get(name)
    if value is not None and not isinstance(value, dict):
        raise MalformedError(f"a part of it has {name} that are no dictionary")
    return value or {}
