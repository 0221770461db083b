# SPDX-License-Identifier: Apache-2.0
"""Decides whether a file's tensors are those of the network that it describes; used by everything that reads files."""

from __future__ import annotations

from ..errors import MalformedError
from ..networks.network import Network
from ..registry import architecture_of, skeleton_of
from ..weights import Shapes
from .checkpoint import Checkpoint, Config

_SMALLEST = 2  # bytes of a stored weight


def skeleton(config: Config) -> Network:
    """Builds the network without memory for its weights. Raises MalformedError for impossible settings."""
    try:
        return skeleton_of(config)
    except (RuntimeError, TypeError, ValueError, ArithmeticError) as error:
        raise MalformedError(f"it describes no network ({str(error)[:200]})") from None


def misfit(network: Network, config: Config, shapes: Shapes) -> str:
    """Describes how tensors of these ``shapes`` differ from the network's; empty if they do not."""
    kind = architecture_of(config).name
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    missing, unknown = sorted(expected.keys() - shapes.keys()), sorted(shapes.keys() - expected.keys())
    if missing or unknown:
        lacks = f"lacks {len(missing)} tensors of the {kind} that it seems to be ({missing[0]})" if missing else ""
        has = f"has {len(unknown)} that this {kind} has not ({unknown[0][:80]})" if unknown else ""
        return f"it {' and '.join(filter(None, (lacks, has)))}: it is another network, or a part of one"
    for name, shape in expected.items():
        if shapes[name] != shape:
            return f"its {name} is {list(shapes[name])} where this {kind} has {list(shape)}: it is another network"
    return ""


def check_size(network: Network, stored: int) -> None:
    """Raises MalformedError if many tensors share the same few numbers of a file of ``stored`` bytes."""
    values = sum(value.numel() for value in network.state_dict().values())
    if _SMALLEST * values > stored:
        raise MalformedError(f"it announces {values} weights in {stored} bytes")


def read_network(checkpoint: Checkpoint) -> Network:
    """Reads the network with its weights from an open file. Raises MalformedError or ForeignError."""
    network = skeleton(checkpoint.config)
    network.load_state_dict({name: weight.read() for name, weight in checkpoint.tensors.items()}, assign=True)
    return network
