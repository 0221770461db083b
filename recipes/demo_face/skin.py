# SPDX-License-Identifier: Apache-2.0
"""Shades what the z-buffer shows of the head: skin with its make-up and beard, eyes, teeth, clothes.

Wrapped diffuse light stands in for scattering under the skin (redder where light fades), Blinn–Phong for its
gloss. Visibility of the two lights and ambient occlusion were baked per vertex.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .head import Part
from .kernels import add, clamp, dot, half_way, inlined, kernel, mix, row, smooth, tint, turned, unit

IRIS_RADIUS = 0.455  # of the eyeball's
BLUSH, BAGS, LINER = 0.5, 0.35, 0.073
SKIN, MOUTH, GUMS, TEETH, EYE = (int(part) for part in (Part.SKIN, Part.MOUTH, Part.GUMS, Part.TEETH, Part.EYE))
LASHES, SOCKET, FACE = int(Part.LASHES), int(Part.SOCKET), int(Part.FACE)


class Mask(IntEnum):
    """Channels of the face's texture."""

    LIPS = 0
    BROWS = 1
    BLUSH = 2
    BAGS = 3
    BEARD = 4
    LASHES = 5
    LINER = 6
    CREASE = 7
    LID_SHADOW = 8
    PORES = 9
    MOTTLE = 10
    LIP_STREAKS = 11


class Lights(NamedTuple):
    """Directions are unit vectors in camera space; strengths are grey, sky and ground linear RGB."""

    key: tuple[float, float, float]
    key_strength: float
    fill: tuple[float, float, float]
    fill_strength: float
    rim: tuple[float, float, float]
    rim_strength: float
    sky: tuple[float, float, float]
    ground: tuple[float, float, float]


class Look(NamedTuple):
    """Linear colours, and how much of each effect."""

    skin: tuple[float, float, float]
    lips: tuple[float, float, float]
    hair: tuple[float, float, float]
    iris: tuple[float, float, float]
    clothes: tuple[float, float, float]
    melanin: float
    beard: float
    mouth_open: float


class Surface(NamedTuple):
    """What is known at each vertex, to be interpolated."""

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
    """What light meets at one pixel."""

    albedo: tuple[float, float, float]
    wrap: tuple[float, float, float]
    gloss: float
    sharpness: float
    open_air: float
    key_seen: float
    fill_seen: float


@kernel
def shade(canvas, surface, texture, eyes, R, look, lights):
    """Fills the canvas's colour where a triangle is nearest.

    ``texture`` [S, S, len(Mask)] uint8, 200 for one; ``eyes`` [2, 3] the centres of the right and left eyeball
    at rest; ``R`` turns the head.
    """
    height, width = canvas.depth.shape
    masks = np.zeros(texture.shape[2], np.float32)
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
            up = 0.5 + 0.5 * turned(R, blend3(surface.bent, corners, weights))[1]
            open_air = blend(surface.open_air, corners, weights)
            key, fill = blend(surface.key_seen, corners, weights), blend(surface.fill_seen, corners, weights)
            part = surface.parts[t]
            if part == EYE:
                colour = eye_light(rest, eyes[0 if rest[0] < 0 else 1], n, up, open_air, key, fill, look, lights)
            else:
                if part in (FACE, SKIN):
                    material = skin(part, surface, corners, weights, texture, masks, rest, open_air, key, fill, look)
                else:
                    material = inner(part, rest, open_air, key, fill, look)
                colour = lit(material, n, up, lights)
            canvas.colour[y, x, 0], canvas.colour[y, x, 1], canvas.colour[y, x, 2] = colour


@inlined
def blend(values, corners, weights):
    return values[corners[0]] * weights[0] + values[corners[1]] * weights[1] + values[corners[2]] * weights[2]


@inlined
def blend3(values, corners, weights):
    a, b, c = row(values, corners[0]), row(values, corners[1]), row(values, corners[2])
    return (
        a[0] * weights[0] + b[0] * weights[1] + c[0] * weights[2],
        a[1] * weights[0] + b[1] * weights[1] + c[1] * weights[2],
        a[2] * weights[0] + b[2] * weights[1] + c[2] * weights[2],
    )


@inlined
def sample_texture(texture, u, v, out):
    """Bilinear, into ``out``."""
    size = texture.shape[0]
    fx, fy = u * size - 0.5, (1 - v) * size - 0.5
    i, j = min(size - 2, max(0, int(fx))), min(size - 2, max(0, int(fy)))
    du, dv = clamp(fx - i), clamp(fy - j)
    for c in range(len(out)):
        above = np.float32(texture[j, i, c]) * (1 - du) + np.float32(texture[j, i + 1, c]) * du
        below = np.float32(texture[j + 1, i, c]) * (1 - du) + np.float32(texture[j + 1, i + 1, c]) * du
        out[c] = (above * (1 - dv) + below * dv) / 200


@inlined
def skin(part, surface, corners, weights, texture, masks, rest, open_air, key, fill, look):
    """Skin, what is painted on it, the scalp under the hair, and clothes from the collar down."""
    albedo, gloss, sharpness = look.skin, 0.30, 16.0
    wrap = (0.30, 0.16, 0.10)
    if part == FACE:
        sample_texture(
            texture, blend(surface.uv[:, 0], corners, weights), blend(surface.uv[:, 1], corners, weights), masks
        )
        albedo, gloss, sharpness = painted(masks, look)
    x, y, z = rest
    within = blend(surface.within_hairline, corners, weights)
    in_front_of_ear = clamp((abs(x) - 7.25) / 0.35) if -3.0 < y < 4.4 and -3.2 < z < 3.4 else 0.0
    scalp = smooth(clamp((within + 0.05) / 0.9) * (1 - in_front_of_ear))
    albedo = mix(albedo, tint(look.hair, 0.55, 0.55, 0.55), scalp)
    gloss *= 1 - scalp
    if within > -4.0:
        beside_hair = np.exp(min(0.0, within) / 0.9) * (1 - scalp) * (1 - in_front_of_ear)
        open_air *= 1 - 0.38 * beside_hair
        key *= 1 - 0.30 * beside_hair
    collar = -12.6 + 0.10 * z + 0.020 * x * x
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
def darker(albedo, amount, r, g, b):
    """``albedo`` with each channel's share taken away."""
    return tint(albedo, 1 - r * amount, 1 - g * amount, 1 - b * amount)


@inlined
def painted(masks, look):
    """The face's albedo, gloss and its sharpness, from the texture's masks."""
    mottle, pores = 2 * masks[Mask.MOTTLE] - 1, 2 * masks[Mask.PORES] - 1
    a = tint(
        look.skin, 1 + 0.06 * mottle + 0.05 * pores, 1 + 0.10 * mottle + 0.06 * pores, 1 + 0.10 * mottle + 0.07 * pores
    )
    a = darker(a, BLUSH * masks[Mask.BLUSH] * (1 - 0.5 * look.melanin), -0.06, 0.42, 0.38)
    a = darker(a, BAGS * masks[Mask.BAGS], 0.22, 0.30, 0.22)
    a = darker(a, 0.22 * masks[Mask.LID_SHADOW], 0.8, 1.0, 1.0)
    a = darker(a, 0.25 * masks[Mask.CREASE], 0.8, 1.0, 1.0)
    beard = masks[Mask.BEARD] * look.beard
    beard = min(0.92, max(0.0, beard * (0.55 + 0.6 * look.beard + 0.2 * pores + 0.06 * mottle)))
    a = mix(a, add((0.012, 0.011, 0.011), look.hair, 0.75), beard)
    a = mix(a, tint(look.hair, 0.8, 0.8, 0.8), 0.26 * masks[Mask.BROWS])
    lips, streaks = masks[Mask.LIPS], 1 + 0.35 * (masks[Mask.LIP_STREAKS] - 0.5)
    a = mix(a, tint(look.lips, streaks, streaks, streaks), lips)
    lashes = min(1.0, masks[Mask.LASHES] * (0.60 + 0.4 * LINER) + masks[Mask.LINER] * 0.55 * LINER)
    a = darker(a, lashes, 0.85, 0.87, 0.86)
    gloss = (0.30 * (1 - 0.7 * beard) + 0.35 * lips) * (1 - lashes) * (1 + 0.5 * pores)
    return a, gloss, 16.0 + 14.0 * lips


@inlined
def inner(part, rest, open_air, key, fill, look):
    """Teeth, gums, lashes and what lies behind them; the mouth is darker the deeper and the more closed it is."""
    z = rest[2]
    even = (0.30, 0.16, 0.10)
    if part == TEETH:
        deep = clamp((z - 6.0) / 4.2) ** 2 * (0.35 + 0.65 * min(1.0, 0.35 + look.mouth_open))
        return Material((0.74, 0.68, 0.58), even, 0.5 * deep, 40.0, 0.85 * deep, 0.75 * deep, 0.8 * deep)
    if part == GUMS:
        deep = clamp((z - 4.0) / 6.0) ** 2 * (0.3 + 0.6 * min(1.0, 0.3 + look.mouth_open))
        return Material((0.55, 0.20, 0.19), even, 0.3 * deep, 30.0, 0.7 * deep, 0.5 * deep, 0.6 * deep)
    if part == LASHES:
        return Material((0.018, 0.014, 0.013), even, 0.0, 20.0, 0.8, key, fill)
    deep = clamp((z - 5.5) / 5.5) ** 3 * 0.8
    if part == SOCKET:
        return Material((0.35, 0.15, 0.13), even, 0.0, 20.0, 0.25, 0.4 * deep, 0.4 * deep)
    return Material((0.20, 0.055, 0.05), even, 0.0, 20.0, 0.5 * deep, 0.4 * deep, 0.4 * deep)


@inlined
def lit(material, n, up, lights):
    """Linear RGB of a material with the camera-space normal ``n``."""
    key_seen, fill_seen = smooth(clamp(material.key_seen)), clamp(material.fill_seen)
    to_key, to_fill, to_rim = dot(n, lights.key), dot(n, lights.fill), dot(n, lights.rim)
    fresnel = (1 - max(0.0, n[2])) ** 5
    shine = max(0.0, dot(n, half_way(lights.key)))
    gleam = max(0.0, dot(n, half_way(lights.fill)))
    lobe = shine**material.sharpness
    lobes = 0.20 * lobe + 0.16 * (lobe * lobe) * (lobe * lobe)  # powers are what costs most here
    shine = material.gloss * lobes * key_seen * (0.6 + 2.0 * fresnel) * clamp(4 * to_key + 0.3)
    gleam = material.gloss * gleam**material.sharpness * 0.16 * fill_seen
    specular = lights.key_strength * shine + lights.fill_strength * gleam
    rim = lights.rim_strength * max(0.0, to_rim + 0.05) * (0.25 + 1.125 * fresnel) * 0.7 * material.open_air
    sky, ground, a, w = lights.sky, lights.ground, material.albedo, material.wrap
    # Where the key light fades, red reaches further: it scatters widest under the skin.
    red = scattered(
        a[0], w[0], to_key, to_fill, key_seen, fill_seen, 0.22, material.open_air, mixed(ground[0], sky[0], up), lights
    )
    green = scattered(
        a[1], w[1], to_key, to_fill, key_seen, fill_seen, 0.055, material.open_air, mixed(ground[1], sky[1], up), lights
    )
    blue = scattered(
        a[2], w[2], to_key, to_fill, key_seen, fill_seen, 0.055, material.open_air, mixed(ground[2], sky[2], up), lights
    )
    return (
        a[0] * (red + rim) + specular,
        a[1] * (green + rim) + specular,
        a[2] * (blue + rim) + specular,
    )


@inlined
def mixed(a, b, share):
    return a + (b - a) * share


@inlined
def scattered(albedo, wrap, to_key, to_fill, key_seen, fill_seen, bleed, open_air, ambient, lights):
    """Light that one channel of a material receives; occluded places still light themselves by their colour."""
    key = max(0.0, (to_key + wrap) / (1 + wrap)) * (key_seen + (1 - key_seen) * bleed * key_seen)
    fill = max(0.0, (to_fill + wrap) / (1 + wrap)) * fill_seen
    around = open_air + (1 - open_air) * albedo * 0.45 * open_air
    return lights.key_strength * key + lights.fill_strength * fill + ambient * around


@inlined
def eye_light(rest, centre, n, up, open_air, key_seen, fill_seen, look, lights):
    """The eyeball: white with veins, iris with fibres, pupil, the upper lid's shadow, and the lights' reflections."""
    x, y, z = add(rest, centre, -1.0)
    distance = np.sqrt(x * x + y * y) / np.sqrt(x * x + y * y + z * z)
    vein = clamp((distance - 0.5) / 0.5)
    white = 0.86 * (1 - 0.05 * vein), 0.82 * (1 - 0.22 * vein), 0.79 * (1 - 0.24 * vein)
    q = distance / IRIS_RADIUS
    angle = np.arctan2(y, x)
    fibres = 0.85 + 0.154 * np.sin(23.0 * angle + 3 * np.sin(7 * angle))
    fibres *= (0.62 + 0.9 * max(0.0, q - 0.35)) * (1 - 0.65 * clamp((q - 0.78) / 0.22))
    fibres *= 1 - 0.97 * clamp((0.40 - q) / 0.10 + 0.5)
    albedo = mix(white, tint(look.iris, fibres, fibres, fibres), clamp((IRIS_RADIUS - distance) / 0.04 + 0.5))
    shadow = clamp((y - 0.02) / 0.5)
    open_air = (0.40 + 0.60 * open_air) * (1 - 0.5 * shadow)
    key_seen = 0.25 + 0.75 * key_seen * (1 - 0.45 * shadow)
    colour = lit(Material(albedo, (0.2, 0.2, 0.2), 0.0, 20.0, open_air, key_seen, fill_seen), n, up, lights)
    reflected = 2 * n[2] * n[0], 2 * n[2] * n[1], 2 * n[2] * n[2] - 1
    seen = smooth(clamp(key_seen))
    glint = clamp((dot(reflected, lights.key) - 0.955) / 0.02) * 1.32 * seen * lights.key_strength
    glint += clamp((dot(reflected, lights.fill) - 0.96) / 0.02) * 0.25 * lights.fill_strength
    around = 0.035 * (0.5 + 0.5 * reflected[1]) * open_air
    return (
        colour[0] + glint + lights.sky[0] * around,
        colour[1] + glint + lights.sky[1] * around,
        colour[2] + glint + lights.sky[2] * around,
    )
