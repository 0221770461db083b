# SPDX-License-Identifier: Apache-2.0
"""Steps of a training: Muon for convolutions, Adam for all else.

Muon (Jordan et al., *Muon: an optimizer for hidden layers in neural networks*, 2024) replaces a matrix's momentum
M = U Σ Vᵀ by nearly U Vᵀ, so that every direction is learnt at the same pace, not only those that many pictures share.
From one checkpoint, 4096 pictures at 32² gained 1.7 dB with it and 0.6 dB with Adam alone, for a fifth more time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from effigy.generators.networks.stylegan2 import StyleGAN2

MOMENTUM = 0.95
STEP = 0.4  # root mean square of a matrix's change, in learning rates; Adam's is about as large
_ROUNDS = 5
_QUINTIC = (3.4445, -4.7750, 2.0315)  # of the iteration: singular values above 0.01 end between 0.7 and 1.2


class Optimiser:
    """Changes the parameters of ``network``'s synthesis by their gradients, at a rate that each step is told.

    Those that need no gradient stay.
    """

    def __init__(self, network: StyleGAN2) -> None:
        parameters = [p for p in network.synthesis.parameters() if p.requires_grad]
        self.matrices = [p for p in parameters if is_matrix(p)]
        rest = [p for p in parameters if not is_matrix(p)]
        self.adam = torch.optim.Adam(rest, betas=(0.9, 0.99), fused=True)
        self.momenta = [torch.zeros_like(p) for p in self.matrices]

    def zero_grad(self) -> None:
        self.adam.zero_grad(set_to_none=True)
        for matrix in self.matrices:
            matrix.grad = None

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Takes a step. Blocks that painted nothing have no gradients, and stay."""
        self.adam.param_groups[0]["lr"] = rate
        self.adam.step()
        for matrix, momentum in zip(self.matrices, self.momenta, strict=True):
            if matrix.grad is None:
                continue
            momentum.lerp_(matrix.grad, 1 - MOMENTUM)
            ahead = torch.lerp(matrix.grad, momentum, MOMENTUM).flatten(1)  # Nesterov's
            change = orthogonalised(ahead) * max(ahead.shape) ** 0.5  # of root mean square 1
            matrix.sub_(change.view_as(matrix), alpha=STEP * rate)

    def state_dict(self) -> dict[str, Any]:
        return {"adam": self.adam.state_dict(), "momenta": self.momenta}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.adam.load_state_dict(state["adam"])
        for momentum, stored in zip(self.momenta, state["momenta"], strict=True):
            momentum.copy_(stored)


def is_matrix(parameter: Tensor) -> bool:
    """Returns whether Muon changes it, as a matrix [out, in · 9]: so with 3 × 3 convolutions."""
    return parameter.ndim == 4 and parameter.shape[-1] == 3


def orthogonalised(matrix: Tensor) -> Tensor:
    """Returns about U Vᵀ of ``matrix`` [A, B] = U Σ Vᵀ by five rounds of X ← aX + (b XXᵀ + c (XXᵀ)²) X in bfloat16."""
    a, b, c = _QUINTIC
    x = matrix.bfloat16()
    x = x.T if len(x) > x.shape[1] else x
    x = x / (x.norm() + 1e-7)
    for _ in range(_ROUNDS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return (x.T if len(matrix) > matrix.shape[1] else x).to(matrix.dtype)
