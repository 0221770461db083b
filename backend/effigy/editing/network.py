# SPDX-License-Identifier: Apache-2.0
"""A small dense network with an analytic Jacobian, of which the regressor and the identity head are made."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Architecture:
    """``depth`` hidden layers of ``width`` units and, parallel to them, a ``linear_path`` from input to output.

    ``silu`` is smooth, as Gauss–Newton needs it; the paper's regressor has ``relu``.
    """

    depth: int = 2
    width: int = 256
    activation: Literal["silu", "relu"] = "silu"
    linear_path: bool = True


def architecture_of(description: dict[str, Any], most: int) -> Architecture:
    """Inverts ``dataclasses.asdict``. Raises TypeError or ValueError for anything else, and for ``most`` layers or
    more.

    ``most`` is the number of arrays in the file, so that a damaged header cannot ask for more layers than there are.
    """
    architecture = Architecture(**description)
    possible = 1 <= architecture.depth < most and architecture.width >= 1
    if architecture.activation not in ("silu", "relu") or not possible:
        raise ValueError(f"no network is {str(description)[:300]}")
    return architecture


class Network(nn.Module):
    """A multilayer perceptron from v [N, ``inputs``] to [N, ``outputs``]."""

    def __init__(self, inputs: int, outputs: int, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        sizes = [inputs, *[architecture.width] * architecture.depth, outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.linear = nn.Linear(inputs, outputs, bias=False) if architecture.linear_path else None
        self._activate = F.silu if architecture.activation == "silu" else F.relu

    def forward(self, v: Tensor) -> Tensor:
        """v [N, inputs] → [N, outputs]."""
        return self._output(self._last_hidden(v), v)

    def features(self, v: Tensor) -> Tensor:
        """Returns what the outputs are linear in, [N, F]: last hidden layer, v if there is a linear path, and 1."""
        beside = [] if self.linear is None else [v]
        return torch.cat([self._last_hidden(v), *beside, torch.ones_like(v[:, :1])], dim=1)

    def add(self, change: Tensor) -> None:
        """Changes the network, in place, by adding ``features(v) @ change`` to its outputs; change is [F, outputs]."""
        width = self.last.in_features
        self.last.weight += change[:width].T
        self.last.bias.add_(change[-1])
        if self.linear is not None:
            self.linear.weight += change[width:-1].T

    def ignore(self, axes: Tensor) -> None:
        """Changes the network, in place, so that it sees nothing of v along orthonormal ``axes`` [inputs, R]."""
        first = cast(nn.Linear, self.layers[0])
        for layer in (first, self.linear):
            if layer is not None:
                layer.weight.copy_(without(layer.weight, axes))

    def jacobian(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the outputs [N, outputs] and their derivatives [N, outputs, inputs] at v.

        The chain rule is multiplied out from the outputs back, because there are fewer outputs than inputs.
        """
        x, slopes = v, []
        for layer in self._hidden():
            h = layer(x)
            slopes.append(self._slope(h))
            x = self._activate(h)
        weights = [cast(nn.Linear, layer).weight for layer in self.layers]
        J = weights[-1] * slopes[-1][:, None]
        for weight, slope in zip(weights[-2:0:-1], slopes[-2::-1], strict=True):
            J = (J @ weight) * slope[:, None]
        J = J @ weights[0]
        if self.linear is not None:
            J = J + self.linear.weight
        return self._output(x, v), J

    def output_state(self) -> dict[str, Tensor]:
        """Returns the parameters that ``add`` changes, by their names in the state dict."""
        beside = {} if self.linear is None else {"linear.weight": self.linear.weight}
        number = len(self.layers) - 1
        return {f"layers.{number}.weight": self.last.weight, f"layers.{number}.bias": self.last.bias, **beside}

    @property
    def linear_path(self) -> nn.Linear:
        """The path from input to output. Raises ValueError where the architecture has none."""
        if self.linear is None:
            raise ValueError("this network has no linear path")
        return self.linear

    @property
    def last(self) -> nn.Linear:
        """The layer that gives the outputs."""
        return cast(nn.Linear, self.layers[-1])

    def _last_hidden(self, v: Tensor) -> Tensor:
        x = v
        for layer in self._hidden():
            x = self._activate(layer(x))
        return x

    def _hidden(self) -> list[nn.Module]:
        """Returns all layers but the last, as a list: slicing a ModuleList makes a module each time, which is slow."""
        return list(self.layers)[:-1]

    def _output(self, x: Tensor, v: Tensor) -> Tensor:
        output: Tensor = self.last(x)
        return output if self.linear is None else output + self.linear(v)

    def _slope(self, h: Tensor) -> Tensor:
        if self.architecture.activation == "relu":
            return (h > 0).to(h.dtype)
        gate = torch.sigmoid(h)
        return gate * (1 + h * (1 - gate))


def without(rows: Tensor, axes: Tensor) -> Tensor:
    """Returns ``rows`` [N, V] less what lies along orthonormal ``axes`` [V, R]."""
    return rows - rows @ axes @ axes.T
