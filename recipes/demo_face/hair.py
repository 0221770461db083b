# SPDX-License-Identifier: Apache-2.0
"""Grows strands of hair from the scalp, combs them, keeps them outside of the head, and lights them as thin cylinders.

Shading follows Kajiya & Kay, *Rendering Fur with Three Dimensional Textures* (SIGGRAPH 1989), with a second
lobe in the hair's own colour after Marschner et al. (SIGGRAPH 2003).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.cluster.vq import kmeans2

from .kernels import add, clamp, dot, half_way, inlined, kernel, row, smooth, stroke, turned, unit
from .sampling import irradiance

CLUMPS = 130  # locks that can be told apart
CLUMPED = 0.96  # share of a strand's random numbers that its lock decides
THINNING = 0.9  # cm, over which hair gets denser from the hairline inwards
LOOSE = 1.8  # cm from the hairline, within which strands are not yet gathered in locks
CHILDREN = 4  # strands per root
APART, STRAY = 0.11, 0.10  # cm: their distance at the root, and how much it grows towards the tip
WIDTH = 0.085  # cm
SIDES = 0.6  # length of short hair at the sides, relative to the top
EDGE_WIDTH, EDGE_OPACITY, EDGE_LIFT = 0.8, 0.55, 0.12  # of strands at the hairline, so that skin shows through
# What is random about each strand.
LENGTH, LIFT, RISE, EDGE, LEFT, FORWARD, PHASE, WAVES, TINT, GLOSS = range(10)


class Style(NamedTuple):
    """How hair is worn, with the fields of ``parameters.Hair``."""

    length: float
    long: float
    volume: float
    parting: float
    swept: float
    fringe: float
    receding: float
    curl: float


def fates(roots: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Returns [N, 10] random numbers in 0 … 1 for strands at ``roots`` [N, 3]; neighbours in a lock are similar.

    At the hairline (``inside`` [N] is the distance from it in cm) each strand is for itself, and where one begins is
    its own throughout: locks would end there in a row of teeth.
    """
    _, clump = kmeans2(roots.astype(np.float64), CLUMPS, minit="++", seed=3)
    own = np.random.default_rng(11).random((len(roots), 10))
    shared = np.random.default_rng(12).random((CLUMPS, 10))
    share = np.tile(CLUMPED * np.clip(inside[:, None] / LOOSE, 0.3, 1.0), 10)
    share[:, EDGE] = 0
    return (share * shared[clump] + (1 - share) * own).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Children:
    """How each of the CHILDREN · N strands differs from the strand of its root."""

    start: np.ndarray  # [CHILDREN, N, 1, 3] cm
    end: np.ndarray  # [CHILDREN, N, 1, 3] cm more at the tip
    fates: np.ndarray  # [CHILDREN · N, 10]
    edge: np.ndarray  # [CHILDREN · N] 0 … 1: up to which distance from the hairline it counts as edge

    @classmethod
    def of(cls, own: np.ndarray) -> Children:
        """Makes them for roots with the numbers ``own`` [N, 10]; tint and gloss are a fifth new, else the root's."""
        random, count = np.random.default_rng(9), len(own)
        start = (APART * random.standard_normal((CHILDREN, count, 1, 3))).astype(np.float32)
        end = (STRAY * random.standard_normal((CHILDREN, count, 1, 3))).astype(np.float32)
        start[0], end[0] = 0, 0.4 * end[0]
        shared = np.tile(own, (CHILDREN, 1))
        share = np.zeros(10, np.float32)
        share[[TINT, GLOSS]] = 0.2
        mixed = shared + share * (random.random(shared.shape, np.float32) - shared)
        return cls(start, end, mixed, random.random(CHILDREN * count, np.float32))

    def beside(self, strands: np.ndarray, length: float) -> np.ndarray:
        """Maps [N, K, 3] to [CHILDREN · N, K, 3]: the children of strands of ``length`` cm."""
        along = np.linspace(0, 1, strands.shape[1], dtype=np.float32)[:, None]
        stray = np.float32(min(1.0, 0.25 * length))
        every = strands + self.start * (0.6 + 0.8 * along) + self.end * (along * along * stray)
        return every.reshape(-1, *strands.shape[1:])


@kernel
def grow(roots, normals, inside, fate, style, field, low, high, strands, outward, grows):
    """Fills ``strands`` [N, K, 3] and, for each point, the direction out of the hair and the depth inside it [N, K, 4].

    ``inside`` [N] is how far each root lies within the hairline (cm). ``field`` [G, G, G, 4] is the distance to the
    skin and its gradient on a grid from ``low`` to ``high``. ``grows`` [N] becomes 0 for roots that are bald.
    """
    length, long, volume = style.length, style.long, style.volume
    cut = 2.0 - 0.62 * length - 15.0 * (1.0 - long)  # cm, the height where long hair ends; short hair never gets there
    for i in range(len(roots)):
        p, n = row(roots, i), row(normals, i)
        grows[i] = inside[i] >= -0.1 + THINNING * fate[i, EDGE] ** 2 + _bare(p, style.receding)
        if not grows[i]:
            continue
        top = smooth(clamp((p[1] - 5.5) / 5.5))
        reach = _reach(p, top, min(1.0, inside[i] / 2.0), length, long) * (0.90 + 0.2 * fate[i, LENGTH])
        step = reach / (strands.shape[1] - 1)
        d = _first_direction(p, n, top, style, fate[i])
        strands[i, 0, 0], strands[i, 0, 1], strands[i, 0, 2] = p
        outward[i, 0, 0], outward[i, 0, 1], outward[i, 0, 2] = n
        outward[i, 0, 3] = 0.0
        for k in range(1, strands.shape[1]):
            s = k * step
            d = _bend(d, p, s, step, style, fate[i])
            p = add(p, d, step)
            distance, gradient = _look_up(field, low, high, p)
            clearance = 0.12 + (0.55 * volume * fate[i, LIFT] + 0.15) * min(1.0, s / 1.5)
            below = clamp((-0.5 - p[1]) / 4.0)  # beneath the ears hair hangs around the neck's axis
            m = gradient
            if below > 0:
                radius = np.sqrt(p[0] ** 2 + (p[2] - 0.5) ** 2) + 1e-3
                axis = p[0] / radius, 0.15, (p[2] - 0.5) / radius
                m = (
                    gradient[0] * (1 - below) + axis[0] * below,
                    gradient[1] * (1 - below) + axis[1] * below,
                    gradient[2] * (1 - below) + axis[2] * below,
                )
            if p[1] < cut:  # long hair ends in one line
                p = add(p, d, (cut - p[1]) / min(-0.2, d[1]))
            if distance < clearance:
                p = add(p, gradient, clearance - distance)
                d = add(d, gradient, -min(0.0, dot(d, gradient)))
            strands[i, k, 0], strands[i, k, 1], strands[i, k, 2] = p
            outward[i, k, 0], outward[i, k, 1], outward[i, k, 2] = m
            outward[i, k, 3] = distance + 1.2 * below


@inlined
def _reach(p, top, edge, length, long):
    """Returns a strand's length in cm, by its root: short hair is shorter at the sides, neck and hairline."""
    at_side = (1.0 - long) * (0.8 + 0.55 * length * SIDES) + long * length
    reach = at_side * (1 - top) + length * (1 - 0.25 * long) * top
    low = clamp((3.5 - p[1]) / 6.0)
    return reach * ((1 - long) * (1.0 - 0.55 * low) + long) * (0.45 + 0.55 * edge)


@inlined
def _bare(p, receding):
    """Returns by how many cm the front hairline recedes: ragged, and most at the temples."""
    front = smooth(clamp((p[2] - 1.0) / 6.0)) * smooth(clamp((p[1] - 3.5) / 3.0))
    ragged = 0.16 * np.sin(1.1 * p[0] + 0.6) + 0.08 * np.sin(2.3 * p[0] + 1.1 * p[1])
    temple = np.exp(-(((abs(p[0]) - 4.6) / 1.5) ** 2))
    return front * (0.35 + ragged + receding * (0.5 + 1.3 * temple))


@inlined
def _first_direction(p, n, top, style, fate):
    """Returns the direction at the root (not a unit vector): parted, combed along the skin, swept, lifted."""
    back = clamp(-p[2] / 5.0)
    aside = p[0] - style.parting
    across = aside / (abs(aside) + 0.9) * (0.55 + 0.55 * style.long) * (1 - 0.6 * style.swept)
    comb = (
        across * top + 0.05 * p[0] * (1 - top),
        (-0.15 + 0.35 * style.swept) * top - (1 - top) * (1 - 0.5 * style.swept),
        (-0.35 * style.long - 1.1 * style.swept + 0.9 * style.fringe) * top
        - (0.42 + 0.5 * style.swept) * (1 - top) * (1 - back),
    )
    comb = unit(add(comb, n, -dot(comb, n)))
    lift = style.volume * (0.25 + 0.65 * top + 0.35 * style.swept * top) * (1 - 0.3 * style.long)
    x, y, z = add(comb, n, lift + 0.22 * (fate[LIFT] - 0.5))
    return x + 0.2 * (fate[LEFT] - 0.5), y + 0.15 * (fate[RISE] - 0.5), z + 0.2 * (fate[FORWARD] - 0.5)


@inlined
def _bend(d, p, s, step, style, fate):
    """Returns the bending by weight and waves, and of long hair away from the face."""
    weight = 0.10 * step * (0.5 + style.long) * (1.0 + 0.25 * min(s, 8.0))
    wave = (0.188 + style.curl) * 0.42 * min(1.0, 1.4 * step)
    phase, waves = 6.283 * fate[PHASE], 1.3 + 0.7 * fate[WAVES]
    x = d[0] + wave * np.cos(phase + waves * s)
    y = d[1] - weight + 0.35 * wave * np.sin(2.1 * phase + 1.3 * waves * s)
    z = d[2] + 0.8 * wave * np.sin(phase + waves * s)
    if p[2] > 3.5 and p[1] < 9.5:
        aside = 0.34 * step * style.long * min(1.0, (p[2] - 3.5) / 3.0)
        x += aside * p[0] / (abs(p[0]) + 0.5)
        z -= 0.5 * aside
    return unit((x, y, z))


@inlined
def _look_up(field, low, high, p):
    """Interpolates distance and gradient at ``p`` trilinearly; beyond the grid, returns the value at its border."""
    last = field.shape[0] - 1
    fx = (p[0] - low[0]) / (high[0] - low[0]) * last
    fy = (p[1] - low[1]) / (high[1] - low[1]) * last
    fz = (p[2] - low[2]) / (high[2] - low[2]) * last
    i = min(last - 1, max(0, int(fx)))
    j = min(last - 1, max(0, int(fy)))
    k = min(last - 1, max(0, int(fz)))
    u, v, w = clamp(fx - i), clamp(fy - j), clamp(fz - k)
    distance, gx, gy, gz = 0.0, 0.0, 0.0, 0.0
    for a in range(2):
        for b in range(2):
            for c in range(2):
                share = (u if a else 1 - u) * (v if b else 1 - v) * (w if c else 1 - w)
                cell = field[i + a, j + b, k + c]
                distance += share * cell[0]
                gx += share * cell[1]
                gy += share * cell[2]
                gz += share * cell[3]
    return distance, (gx, gy, gz)


@kernel
def draw(strands, pixels, outward, shown, fate, R, colour, lights, width, opacity, lift, canvas):
    """Draws the strands [N, K, 3] (camera space, cm) that are ``shown`` at ``pixels`` [N, K, 3].

    ``R`` rotates ``outward`` to camera space; ``outward`` and ``shown`` [M, …] repeat for every M strands. Strands with
    an ``opacity`` below 1 are fainter at their roots; ``lift`` cm are added to the depth, towards the camera.
    """
    K = strands.shape[1]
    roots = len(outward)
    for i in range(len(strands)):
        if not shown[i]:
            continue
        out = outward[i % roots]
        previous = colour_at(strands[i], out, fate[i], 0, R, colour, lights)
        for k in range(K - 1):
            following = colour_at(strands[i], out, fate[i], k + 1, R, colour, lights)
            taper = max(1.0, width * (1.0 - 0.6 * k / (K - 1)))
            strength = opacity if opacity > 0.99 else opacity * min(1.0, 0.35 + 0.65 * k)
            stroke(row(pixels[i], k), row(pixels[i], k + 1), previous, following, taper, strength, lift, canvas)
            previous = following


@inlined
def colour_at(strand, outward, fate, k, R, colour, lights):
    """Returns the linear RGB of a strand's k-th point."""
    last = len(strand) - 1
    t = unit(add(row(strand, min(last, k + 1)), row(strand, max(0, k - 1)), -1.0))
    n = turned(R, row(outward, k))
    open_air = (0.38 + 0.62 * clamp(outward[k, 3] / 1.1)) * (0.62 + 0.38 * k / last)
    facing = clamp((dot(n, lights.key) + 0.25) / 0.9)
    along = dot(t, lights.key)
    diffuse = np.sqrt(max(0.0, 1 - along * along)) * facing
    tilt = dot(t, half_way(lights.key)) + 0.24 * (fate[GLOSS] - 0.5)
    shine = max(0.0, 1 - (tilt + 0.06) ** 2) ** 30 * 0.19 * facing
    sheen = max(0.0, 1 - (tilt - 0.12) ** 2) ** 14 * 0.55 * facing
    along_fill = dot(t, lights.fill)
    filled = np.sqrt(max(0.0, 1 - along_fill * along_fill)) * clamp((dot(n, lights.fill) + 0.3) / 1.1)
    along_rim = dot(t, lights.rim)
    rim = lights.rim_strength * np.sqrt(max(0.0, 1 - along_rim * along_rim)) * max(0.0, dot(n, lights.rim) + 0.15)
    ambient = irradiance(lights.around, unit(n))
    tint = 0.45 + 1.1 * fate[TINT]
    key = lights.key_strength * diffuse * 0.75 * (0.35 + 0.65 * open_air)
    even = key + lights.fill_strength * filled * (0.4 + 0.6 * open_air) + 0.8 * rim
    gloss = open_air * (0.5 + 0.5 * tint) * (lights.key_strength * 0.55 * shine + 0.05 * rim + 0.012 * ambient[1])
    own = open_air * lights.key_strength * 1.9 * sheen
    r = colour[0] * (tint * (even + open_air * ambient[0]) + own) + gloss
    g = colour[1] * (tint * (even + open_air * ambient[1]) + own) + gloss
    b = colour[2] * (tint * (even + open_air * ambient[2]) + own) + gloss
    return r, g, b


@kernel
def draw_brows(pixels, count, colour, width, opacity, canvas):
    """Draws the first ``count`` strands of ``pixels`` [N, 3, 3]."""
    for i in range(count):
        shade = 0.75 + 0.5 * ((7919 * i) % 97) / 97.0
        tone = colour[0] * shade, colour[1] * shade, colour[2] * shade
        for k in range(2):
            stroke(
                row(pixels[i], k), row(pixels[i], k + 1), tone, tone, width * (1.0 - 0.35 * k), opacity, 0.25, canvas
            )
