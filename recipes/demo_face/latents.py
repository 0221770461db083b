# SPDX-License-Identifier: Apache-2.0
"""How latents z say the renderer's parameters p: entangled, as a real generator's are.

Forty-three orthonormal directions of the normalised latent carry g = A ẑ; the rest of z means nothing. A flow
of conditional rotations turns g into p: a pair (g_i, g_j) turns by STRENGTH · tanh(g_k). A rotation keeps the
standard normal distribution, whatever its angle, so p is standard normal when z is; and because g_k stays as
it is, every step can be undone. No single direction of z is a parameter any more: what a step along it does
depends on where it starts.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from backend.generators.stylegan2 import StyleGAN2

from .parameters import COUNT

Z_DIM = 512
ROUNDS = 2
STRENGTH = 0.7  # radians


def directions() -> Tensor:
    """A [COUNT, Z_DIM]: orthonormal rows, cosines of growing frequency (the DCT-II), so no file must be kept."""
    n, k = np.arange(Z_DIM), np.arange(1, COUNT + 1)
    rows = np.sqrt(2 / Z_DIM) * np.cos(np.pi * (2 * n[None] + 1) * k[:, None] / (2 * Z_DIM))
    return torch.from_numpy(rows).float()


def triples() -> Tensor:
    """[ROUNDS, COUNT // 3, 3] disjoint indices (i, j, k) of each round, always the same."""
    random = np.random.default_rng(20260301)
    rounds = [random.permutation(COUNT)[: COUNT // 3 * 3].reshape(-1, 3) for _ in range(ROUNDS)]
    return torch.from_numpy(np.stack(rounds))


_A, _TRIPLES = directions(), triples()


def entangle(g: Tensor) -> Tensor:
    """g [N, COUNT] → p [N, COUNT]."""
    for round_ in _TRIPLES:
        g = _rotate(g, round_, 1.0)
    return g


def disentangle(p: Tensor) -> Tensor:
    """p [N, COUNT] → g [N, COUNT], the inverse of ``entangle``."""
    for round_ in reversed(list(_TRIPLES)):
        p = _rotate(p, round_, -1.0)
    return p


def _rotate(values: Tensor, round_: Tensor, sign: float) -> Tensor:
    i, j, k = round_.unbind(dim=1)
    angle = sign * STRENGTH * torch.tanh(values[:, k])
    c, s = angle.cos(), angle.sin()
    out = values.clone()
    out[:, i] = c * values[:, i] - s * values[:, j]
    out[:, j] = s * values[:, i] + c * values[:, j]
    return out


def latents_of(p: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Latents z [N, Z_DIM], of length √Z_DIM, that mean the parameters p [N, COUNT]; the rest is drawn."""
    g = disentangle(p)
    rest = torch.randn(len(p), Z_DIM, generator=generator)
    rest = rest - (rest @ _A.T) @ _A
    length = (Z_DIM - g.square().sum(dim=1, keepdim=True)).clamp_min(1.0).sqrt()
    return g @ _A + rest / rest.norm(dim=1, keepdim=True) * length


def parameters_of(z: Tensor) -> Tensor:
    """The parameters p [N, COUNT] that latents z [N, Z_DIM] mean; the length of z does not matter."""
    unit = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
    return entangle(unit @ _A.T)


@torch.no_grad()
def paint_vectors(network: StyleGAN2, vectors: np.ndarray, seed: int = 2) -> Tensor:
    """Pictures [N, 3, S, S] in [−1, 1] of latents that mean ``vectors`` [N, COUNT], in float32."""
    z = latents_of(torch.from_numpy(vectors), torch.Generator().manual_seed(seed))
    parts = []
    for part in z.split(32):
        styles = network.synthesis.styles(network.mapping(part)[:, None].expand(-1, network.num_ws, -1))
        parts.append(network.synthesis(styles, noise=False).clamp(-1, 1))
    return torch.cat(parts)
