# SPDX-License-Identifier: Apache-2.0
"""Shades what the z-buffer shows of the head: skin, eyes, teeth, clothes.

Wrapped diffuse light approximates scattering under the skin (redder where light fades), Blinn–Phong its gloss. Light
comes from the surroundings, as spherical harmonics, and from two lamps. Visibility of the lamps and ambient occlusion
are baked per vertex.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .eyes import IRIS_RADIUS
from .head import Part
from .kernels import add, clamp, dot, half_way, inlined, kernel, mix, row, smooth, tint, turned, unit
from .sampling import blend, blend3, irradiance, sample_masks, sample_skin

SCALP = 0.85  # share of the hair's colour between the roots
COLLAR = -10.4  # cm, the height of clothes in the middle of the neck
SKIN, MOUTH, GUMS, TEETH, EYE = (int(part) for part in (Part.SKIN, Part.MOUTH, Part.GUMS, Part.TEETH, Part.EYE))
LASHES, SOCKET, FACE = int(Part.LASHES), int(Part.SOCKET), int(Part.FACE)


class Mask(IntEnum):
    """The channels of the face's texture."""

    LIPS = 0
    BEARD = 1
    LASHES = 2
    PORES = 3


class Lights(NamedTuple):
    """Directions are unit vectors in camera space; strengths are grey."""

    key: tuple[float, float, float]
    key_strength: float
    fill: tuple[float, float, float]
    fill_strength: float
    rim: tuple[float, float, float]
    rim_strength: float
    around: NDArray[np.float32]  # [9, 3] irradiance / π, as ``surroundings.harmonics``


class Look(NamedTuple):
    """Linear colours, and the strength of each effect."""

    skin: tuple[float, float, float]  # even skin, where there is no texture
    hair: tuple[float, float, float]
    iris: tuple[float, float, float]
    clothes: tuple[float, float, float]
    melanin: float
    stubble: float
    mouth_open: float
    receding: float


class Texture(NamedTuple):
    """The face's: ``masks`` [S, S, len(Mask)] uint8, 200 for one; ``skin`` [T, T, 3] and, with ``detail`` [D, D] added,
    log(albedo + 0.01).
    """

    masks: NDArray[np.uint8]
    skin: NDArray[np.float32]
    detail: NDArray[np.float32]


class Surface(NamedTuple):
    """Values at each vertex, to be interpolated."""

    triangles: NDArray[np.int32]
    parts: NDArray[np.int8]
    rest: NDArray[np.float32]  # [V, 3] neutral positions
    normals: NDArray[np.float32]  # [V, 3] camera space
    open_air: NDArray[np.float32]  # [V] 1 where nothing occludes
    bent: NDArray[np.float32]  # [V, 3] mean unoccluded direction, head space
    key_seen: NDArray[np.float32]  # [V]
    fill_seen: NDArray[np.float32]  # [V]
    uv: NDArray[np.float32]  # [V, 2]
    within_hairline: NDArray[np.float32]  # [V] cm


class Material(NamedTuple):
    """The surface at one pixel."""

    albedo: tuple[float, float, float]
    wrap: tuple[float, float, float]
    gloss: float
    sharpness: float
    open_air: float
    key_seen: float
    fill_seen: float


@kernel
def shade(canvas, surface, texture, eyes, axes, R, look, lights):
    """Fills the colour of the canvas where a triangle is the nearest surface.

    ``eyes`` [2, 3] the centres of the right and the left eyeball at rest, ``axes`` [2, 3] where they look, head space;
    ``R`` turns the head.
    """
    height, width = canvas.depth.shape
    masks = np.zeros(texture.masks.shape[2], np.float32)
    for y in range(height):
        for x in range(width):
            t = canvas.triangle[y, x]
            if t < 0:
                continue
            corners = row(surface.triangles, t)
            w1, w2 = canvas.weight_1[y, x], canvas.weight_2[y, x]
            weights = 1 - w1 - w2, w1, w2
            n = unit(blend3(surface.normals, corners, weights))
            rest = blend3(surface.rest, corners, weights)
            bent = turned(R, blend3(surface.bent, corners, weights))
            ambient = irradiance(lights.around, unit(add(n, bent, 1.0)))
            open_air = blend(surface.open_air, corners, weights)
            key, fill = blend(surface.key_seen, corners, weights), blend(surface.fill_seen, corners, weights)
            part = surface.parts[t]
            if part == EYE:
                side = 0 if rest[0] < 0 else 1
                axis = row(axes, side)
                colour = eye_light(rest, eyes[side], axis, n, ambient, open_air, key, fill, look, lights)
            else:
                if part in (FACE, SKIN):
                    material = skin(part, surface, corners, weights, texture, masks, rest, open_air, key, fill, look)
                else:
                    material = inner(part, rest, open_air, key, fill, look)
                colour = lit(material, n, ambient, lights)
            canvas.colour[y, x, 0], canvas.colour[y, x, 1], canvas.colour[y, x, 2] = colour


@inlined
def skin(part, surface, corners, weights, texture, masks, rest, open_air, key, fill, look):
    """Returns the material of skin, what grows on it, the scalp under the hair, and clothes from the collar down."""
    albedo, gloss, sharpness = look.skin, 0.30, 16.0
    wrap = (0.30 - 0.14 * look.melanin, 0.16 - 0.04 * look.melanin, 0.10)
    if part == FACE:
        u, v = blend(surface.uv[:, 0], corners, weights), blend(surface.uv[:, 1], corners, weights)
        sample_masks(texture.masks, u, v, masks)
        albedo = sample_skin(texture, u, v)
        pores, lips = 2 * masks[Mask.PORES] - 1, masks[Mask.LIPS]
        stubble = min(0.75, masks[Mask.BEARD] * look.stubble * (0.8 + 0.4 * pores))
        albedo = mix(albedo, add((0.010, 0.009, 0.009), look.hair, 0.6), stubble)
        lashes = min(1.0, masks[Mask.LASHES] * 0.75)
        albedo = tint(albedo, 1 - 0.85 * lashes, 1 - 0.87 * lashes, 1 - 0.86 * lashes)
        gloss = (0.34 + 0.22 * lips) * (1 - lashes) * (1 - 0.6 * stubble) * (1 + 0.9 * pores)
        gloss *= 1 + 0.9 * look.melanin * look.melanin
        sharpness = 14.0 + 14.0 * lips
    x, y, z = rest
    within = blend(surface.within_hairline, corners, weights)
    in_front_of_ear = clamp((abs(x) - 7.25) / 0.35) if -3.0 < y < 4.4 and -3.2 < z < 3.4 else 0.0
    scalp = SCALP * smooth(clamp((within - 0.45 - 0.6 * look.receding) / 1.6) * (1 - in_front_of_ear))
    albedo = mix(albedo, tint(look.hair, 0.55, 0.55, 0.55), scalp)
    gloss *= 1 - scalp
    if within > -4.0:
        beside_hair = np.exp(min(0.0, within) / 0.9) * (1 - scalp) * (1 - in_front_of_ear)
        open_air *= 1 - 0.22 * beside_hair
        key *= 1 - 0.20 * beside_hair
    collar = COLLAR + 0.02 * z + 0.020 * x * x
    clothed = clamp((collar - y) / 0.22)
    if clothed > 0:
        seam = 1 - 0.35 * np.exp(-(((collar - y - 0.5) / 0.14) ** 2))
        albedo = mix(albedo, tint(look.clothes, seam, seam, seam), clothed)
        gloss *= 1 - clothed
        wrap = wrap[0] + (0.1 - wrap[0]) * clothed, wrap[1] + (0.1 - wrap[1]) * clothed, wrap[2]
    elif y - collar < 3.0:
        open_air *= 1 - 0.35 * np.exp((collar - y) / 0.5)
    return Material(albedo, wrap, gloss, sharpness, open_air, key, fill)


@inlined
def inner(part, rest, open_air, key, fill, look):
    """Shades teeth, gums, tongue, lashes and the inside; a mouth is darker where it is deeper or more closed."""
    z = rest[2]
    even = (0.30, 0.16, 0.10)
    if part == TEETH:
        deep = clamp((z - 6.0) / 4.2) ** 2 * (0.35 + 0.65 * min(1.0, 0.35 + look.mouth_open))
        return Material((0.64, 0.57, 0.47), even, 0.4 * deep, 40.0, 0.80 * deep, 0.65 * deep, 0.7 * deep)
    if part == GUMS:
        deep = clamp((z - 4.0) / 6.0) ** 2 * (0.3 + 0.6 * min(1.0, 0.3 + look.mouth_open))
        return Material((0.52, 0.20, 0.19), even, 0.3 * deep, 30.0, 0.7 * deep, 0.5 * deep, 0.6 * deep)
    if part == LASHES:
        return Material((0.018, 0.014, 0.013), even, 0.0, 20.0, 0.8, key, fill)
    deep = clamp((z - 5.5) / 5.5) ** 3 * 0.8
    if part == SOCKET:
        return Material((0.35, 0.15, 0.13), even, 0.0, 20.0, 0.25, 0.4 * deep, 0.4 * deep)
    return Material((0.20, 0.055, 0.05), even, 0.0, 20.0, 0.5 * deep, 0.4 * deep, 0.4 * deep)


@inlined
def lit(material, n, ambient, lights):
    """Returns the linear RGB of a material with the camera-space normal ``n``, under ``ambient`` irradiance / π."""
    key_seen, fill_seen = smooth(clamp(material.key_seen)), clamp(material.fill_seen)
    to_key, to_fill, to_rim = dot(n, lights.key), dot(n, lights.fill), dot(n, lights.rim)
    fresnel = (1 - max(0.0, n[2])) ** 5
    shine = max(0.0, dot(n, half_way(lights.key)))
    gleam = max(0.0, dot(n, half_way(lights.fill)))
    lobe = shine**material.sharpness
    lobes = 0.20 * lobe + 0.16 * (lobe * lobe) * (lobe * lobe)  # powers cost most here
    shine = material.gloss * lobes * key_seen * (0.6 + 2.0 * fresnel) * clamp(4 * to_key + 0.3)
    gleam = material.gloss * gleam**material.sharpness * 0.16 * fill_seen
    specular = lights.key_strength * shine + lights.fill_strength * gleam
    rim = lights.rim_strength * max(0.0, to_rim + 0.05) * (0.25 + 1.125 * fresnel) * 0.7 * material.open_air
    a, w = material.albedo, material.wrap
    # Where the key light fades, red reaches farther, because it scatters most under the skin.
    open_air = material.open_air
    red = scattered(a[0], w[0], to_key, to_fill, key_seen, fill_seen, 0.22, open_air, ambient[0], lights)
    green = scattered(a[1], w[1], to_key, to_fill, key_seen, fill_seen, 0.055, open_air, ambient[1], lights)
    blue = scattered(a[2], w[2], to_key, to_fill, key_seen, fill_seen, 0.055, open_air, ambient[2], lights)
    return (
        a[0] * (red + rim) + specular,
        a[1] * (green + rim) + specular,
        a[2] * (blue + rim) + specular,
    )


@inlined
def scattered(albedo, wrap, to_key, to_fill, key_seen, fill_seen, bleed, open_air, ambient, lights):
    """Returns the light that one channel of a material receives; occluded places are lit by their own colour."""
    key = max(0.0, (to_key + wrap) / (1 + wrap)) * (key_seen + (1 - key_seen) * bleed * key_seen)
    fill = max(0.0, (to_fill + wrap) / (1 + wrap)) * fill_seen
    around = open_air + (1 - open_air) * albedo * 0.45 * open_air
    return lights.key_strength * key + lights.fill_strength * fill + ambient * around


@inlined
def eye_light(rest, centre, axis, n, ambient, open_air, key_seen, fill_seen, look, lights):
    """Shades the eyeball: white with veins, iris with fibres around ``axis``, pupil, lid's shadow, reflections."""
    ball = add(rest, centre, -1.0)
    size = np.sqrt(dot(ball, ball))
    along = dot(ball, axis) / size
    off = add(tint(ball, 1 / size, 1 / size, 1 / size), axis, -along)
    distance = np.sqrt(dot(off, off)) if along > 0 else 1.0
    vein = clamp((distance - 0.5) / 0.5)
    calm = 1 - 0.34 * look.melanin * look.melanin  # a camera exposed for dark skin would let the white glow
    white = 0.62 * calm * (1 - 0.10 * vein), 0.56 * calm * (1 - 0.30 * vein), 0.535 * calm * (1 - 0.32 * vein)
    q = distance / IRIS_RADIUS
    angle = np.arctan2(off[1], off[0])
    fibres = 0.85 + 0.154 * np.sin(23.0 * angle + 3 * np.sin(7 * angle))
    fibres *= (0.62 + 0.9 * max(0.0, q - 0.35)) * (1 - 0.78 * clamp((q - 0.72) / 0.28))
    fibres *= 1 - 0.97 * clamp((0.40 - q) / 0.10 + 0.5)
    albedo = mix(white, tint(look.iris, fibres, fibres, fibres), clamp((IRIS_RADIUS - distance) / 0.07 + 0.5))
    shadow = clamp((ball[1] - 0.02) / 0.5)
    open_air = (0.30 + 0.60 * open_air) * (1 - 0.65 * shadow)
    key_seen = 0.12 + 0.75 * key_seen * (1 - 0.6 * shadow)
    colour = lit(Material(albedo, (0.2, 0.2, 0.2), 0.0, 20.0, open_air, key_seen, fill_seen), n, ambient, lights)
    reflected = 2 * n[2] * n[0], 2 * n[2] * n[1], 2 * n[2] * n[2] - 1
    seen = smooth(clamp(key_seen))
    glint = clamp((dot(reflected, lights.key) - 0.955) / 0.02) * 1.32 * seen * lights.key_strength
    glint += clamp((dot(reflected, lights.fill) - 0.96) / 0.02) * 0.25 * lights.fill_strength
    around = 0.03 * (0.5 + 0.5 * reflected[1]) * open_air
    return (
        colour[0] + glint + ambient[0] * around,
        colour[1] + glint + ambient[1] * around,
        colour[2] + glint + ambient[2] * around,
    )
