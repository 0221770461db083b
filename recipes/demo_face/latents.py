# SPDX-License-Identifier: Apache-2.0
"""Maps latents z to the renderer's parameters p, and back.

COUNT orthonormal directions of the normalised latent give g = A ẑ, which is standard normal; the rest of z has no
effect. p = g, except for expressions: there p = gate(g), so that most people keep still and some smile, gape or wink,
as on photographs. The gate is monotone and linear in pieces: latents exist for every expression, and a layer of leaky
ReLUs computes it exactly (``mapping``).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from effigy.generators.networks.stylegan2 import StyleGAN2

from .parameters import COUNT, ONE_SIDED, ROWS, STILL, fold, share_people

Z_DIM = 512
TRUNCATION = 0.8  # at which people are mostly drawn
# The gate of each expression: where half of it is open (standard deviations), and the slope before it opens.
GATES = {
    "jaw": (2.4, 0.12),
    "pucker": (2.3, 0.12),
    "lower_lip": (2.0, 0.12),
    "lids": (2.8, 0.12),
    "eyes_wide": (2.0, 0.12),
    "brows": (2.0, 0.12),
    "inner_brow": (2.0, 0.12),
    "gaze": (2.0, 0.35),
}


def directions(size: int = Z_DIM) -> Tensor:
    """Returns A [COUNT, size] with orthonormal rows: the cosines of the DCT-II, so no file is needed."""
    n, k = np.arange(size), np.arange(1, COUNT + 1)
    rows = np.sqrt(2 / size) * np.cos(np.pi * (2 * n[None] + 1) * k[:, None] / (2 * size))
    return torch.from_numpy(rows).float()


_A = directions()
# Of each gated column: the slope before it opens, the two corners of the gate, and how much steeper it is between them.
GATED = torch.cat([torch.arange(COUNT)[ROWS[name]] for name in GATES])
_AT, BEFORE = (
    torch.cat([torch.full((ROWS[name].stop - ROWS[name].start,), values[which]) for name, values in GATES.items()])
    for which in (0, 1)
)
OPENS, CLOSES = _AT - 0.35, _AT + 0.55
STEEPER = CLOSES * (1 - BEFORE) / (CLOSES - OPENS)  # so that p = g from there on
OPENS_BELOW = ~torch.isin(GATED, torch.from_numpy(ONE_SIDED))  # whether the gate opens for negative g, too
# What is added to p: mouth and lids are about to move, where an edit sees which way they do, and nobody looks tired.
REST = torch.zeros(COUNT)
for _name, _value in {"jaw": 0.5, "lids": 0.3, "eyes_wide": 1.5}.items():
    REST[ROWS[_name]] = _value


def _gates_on(device: torch.device) -> Iterator[Tensor]:
    return (part.to(device) for part in (BEFORE, OPENS, CLOSES, STEEPER, OPENS_BELOW))


def gate(g: Tensor) -> Tensor:
    """Maps g [N, COUNT] to p − REST.

    Columns of GATES rise by BEFORE up to OPENS, then steeper, and are g from CLOSES on. Those of ONE_SIDED do so above
    0 alone. Otherwise the gate is odd.
    """
    before, opens, closes, steeper, below = _gates_on(g.device)
    p, some, size = g.clone(), g[:, GATED], g[:, GATED].abs()
    opening = before * size + steeper * (size - opens).clamp_min(0)
    gated = torch.where(size < closes, opening, size)
    p[:, GATED] = some.sign() * torch.where((some > 0) | below, gated, before * size)
    return p


def ungate(p: Tensor) -> Tensor:
    """Maps p − REST [N, COUNT] to g [N, COUNT], the inverse of ``gate``."""
    before, opens, closes, steeper, below = _gates_on(p.device)
    g, some, size = p.clone(), p[:, GATED], p[:, GATED].abs()
    opened = torch.where(size > before * opens, (size + steeper * opens) / (before + steeper), size / before)
    ungated = torch.where(size < closes, opened, size)
    g[:, GATED] = some.sign() * torch.where((some > 0) | below, ungated, size / before)
    return g


def latents_of(p: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Returns latents z [N, Z_DIM] of length √Z_DIM with the parameters p [N, COUNT]; the rest of z is random.

    Raises ValueError for parameters that no latent means, as a mouth that is far below shut.
    """
    g, A = ungate(p - REST.to(p.device)), _A.to(p.device)
    rest = torch.randn(len(p), Z_DIM, generator=generator, device=p.device)
    rest = rest - (rest @ A.T) @ A
    left = Z_DIM - g.square().sum(dim=1, keepdim=True)
    if (left <= 0).any():
        raise ValueError(f"no latent is long enough for the parameters of row {int(left.argmin())}")
    length = left.sqrt()
    return g @ A + rest / rest.norm(dim=1, keepdim=True) * length


def parameters_of(z: Tensor) -> Tensor:
    """Returns the parameters p [N, COUNT] of latents z [N, Z_DIM]; the length of z does not matter."""
    unit = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
    return gate(unit @ _A.T.to(z.device)) + REST.to(z.device)


SCENE = 2  # rows of ``drawn_evenly`` that differ in pose and expression alone


def drawn_evenly(count: int, random: torch.Generator, pictures: int) -> Tensor:
    """Draws p [count, COUNT]: each expression as users draw it in half of the rows, and as far as faces go in the rest.

    Which rows these are is drawn for each by itself: a face that does one thing does not do all. Each person has
    ``pictures`` rows, one after the other, that share what is theirs (see ``parameters.PERSONAL``), and SCENE of them
    show them in one scene: with the same hair, clothes and light too. Raises ValueError for ``pictures`` that are no
    whole number of scenes, as two people would share one.
    """
    if pictures % SCENE:
        raise ValueError(f"{pictures} pictures of a person are not made of scenes of {SCENE}")
    g = torch.randn(count, COUNT, generator=random)
    fold(g.numpy())
    share_people(g.numpy(), pictures)
    share_people(g.numpy(), SCENE, STILL)
    free = torch.rand(count, COUNT, generator=random) < 0.5
    return torch.where(free, g, gate(g)) + REST


def drawn(count: int, seed: int, truncation: float = 1.0) -> np.ndarray:
    """Draws [count, COUNT] parameters of people as users get them, from random z."""
    g = torch.from_numpy(np.random.default_rng(seed).standard_normal((count, COUNT), np.float32))
    return (truncation * gate(g) + REST).numpy()


@torch.no_grad()
def paint_vectors(network: StyleGAN2, vectors: np.ndarray, seed: int = 2) -> Tensor:
    """Paints pictures [N, image_channels, S, S] in [−1, 1], in float32, of latents with the parameters ``vectors``
    [N, COUNT]."""
    z = latents_of(torch.from_numpy(vectors), torch.Generator().manual_seed(seed))
    parts = []
    for part in z.split(32):
        styles = network.synthesis.styles(network.mapping(part)[:, None].expand(-1, network.num_ws, -1))
        parts.append(network.synthesis(styles, noise=False).clamp(-1, 1))
    return torch.cat(parts)
