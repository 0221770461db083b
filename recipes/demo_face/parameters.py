# SPDX-License-Identifier: Apache-2.0
"""The renderer's parameters: forty-three standard normal numbers that say everything about a picture.

``decode`` turns them into what the renderer understands. Every function in it is smooth, so that a generator
can learn it, and bounded, so that no draw makes a monster.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Parameter:
    """``size`` numbers under one name. They are standard normal; ``meaning`` says what ±1 does."""

    name: str
    size: int
    meaning: str


PARAMETERS = (
    Parameter("yaw", 1, "the head turns to its left by 16°; 32° at 2, 45° at 3"),
    Parameter("pitch", 1, "the head nods by 9°; 25° at 3"),
    Parameter("identity", 10, "one standard deviation of the head model's identity modes"),
    Parameter("jaw", 1, "the mouth opens; below 0.5 it is closed"),
    Parameter("smile", 1, "smile above 0, frown below −1"),
    Parameter("pucker", 1, "lips pucker above 1, stretch below −1"),
    Parameter("lower_lip", 1, "the lower lip goes down, or is pushed up"),
    Parameter("blink", 1, "both lids close: half at 1.25, wholly at 2.5"),
    Parameter("wink", 1, "added to the left eye's blink and taken from the right's"),
    Parameter("eyes_wide", 1, "lids open wide, or squint"),
    Parameter("brow", 1, "brows rise, or frown"),
    Parameter("inner_brow", 1, "their inner ends rise"),
    Parameter("gaze", 2, "the eyes look to the head's left, and up"),
    Parameter("skin", 2, "melanin, and redness"),
    Parameter("lipstick", 1, "lips redden above 1"),
    Parameter("beard", 1, "beard above 0.5"),
    Parameter("hair_colour", 3, "from black to blond; red; grey"),
    Parameter("hair_length", 1, "from 2 cm to below the shoulders"),
    Parameter("hair_volume", 1, "lift at the roots"),
    Parameter("eye_colour", 1, "from brown over green to pale blue"),
    Parameter("light", 4, "key light's azimuth (23°), elevation (8°), strength; fill light's strength"),
    Parameter("background", 3, "hue, saturation, value"),
    Parameter("clothes", 3, "hue, saturation, value"),
)
COUNT = sum(parameter.size for parameter in PARAMETERS)


def rows_of() -> dict[str, slice]:
    """Where each parameter lies in the vector of COUNT numbers."""
    rows, start = {}, 0
    for parameter in PARAMETERS:
        rows[parameter.name] = slice(start, start + parameter.size)
        start += parameter.size
    return rows


ROWS = rows_of()


# What makes a person, in every light, pose and mood.
PERSONAL = np.concatenate(
    [np.arange(COUNT)[ROWS[name]] for name in ("identity", "skin", "beard", "hair_colour", "eye_colour")]
)


def column(name: str) -> int:
    """The vector's index of ``identity.3``, ``gaze.1``, or of a parameter of one number, by its bare name."""
    parameter, _, index = name.partition(".")
    return ROWS[parameter].start + int(index or 0)


def sample(count: int, seed: int) -> NDArray[np.float32]:
    """[count, COUNT] draws."""
    return np.random.default_rng(seed).standard_normal((count, COUNT), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Light:
    """A directional light: a unit vector towards it in camera space, and its linear colour."""

    direction: Array
    colour: Array


@dataclass(frozen=True, slots=True)
class Hair:
    colour: Array  # linear RGB
    length: float  # cm
    long: float  # 0 short … 1 hanging
    volume: float


@dataclass(frozen=True, slots=True)
class Scene:
    """What is rendered. Angles in radians, colours linear RGB, expression weights by the head model's names."""

    yaw: float
    pitch: float
    identity: Array  # [10] standard deviations
    expression: dict[str, float]
    skin: Array
    melanin: float
    lips: Array
    beard: float
    iris: Array
    hair: Hair
    key: Light
    fill: Light
    background: Array
    clothes: Array


def decode(vector: NDArray[np.floating]) -> Scene:
    """The scene of one vector of COUNT standard normal numbers."""
    p = {name: np.asarray(vector[rows], np.float64) for name, rows in ROWS.items()}
    x = {name: float(value[0]) for name, value in p.items()}
    melanin = float(ndtr(0.95 * p["skin"][0] - 0.15))
    skin = np.clip(ramp(melanin, SKIN) * np.exp(0.28 * p["skin"][1] * np.array([0.08, -0.03, -0.06])), 0.01, 0.9)
    key, fill = lights(p["light"])
    return Scene(
        yaw=np.radians(90 * np.tanh(0.185 * x["yaw"])),
        pitch=np.radians(60 * np.tanh(0.148 * x["pitch"])),
        identity=2.28 * np.tanh(p["identity"] / 2.4),
        expression=expression(x, p["gaze"]),
        skin=skin,
        melanin=melanin,
        lips=lip_colour(skin, melanin, x["lipstick"]),
        beard=clip(soft(0.385 * x["beard"] - 0.40), 1.0),
        iris=ramp(float(ndtr(x["eye_colour"])) * (1 - 0.8 * melanin), IRIS),
        hair=Hair(
            colour=hair_colour(p["hair_colour"], melanin),
            length=(length := hair_length(x["hair_length"])),
            long=sigmoid(0.8 * (length - 6.5)),
            volume=float(np.clip(0.55 + 0.088 * x["hair_volume"], 0.1, 1.2)),
        ),
        key=key,
        fill=fill,
        background=hsv(p["background"], hue=(0.58, 0.16), saturation=(0.28, 0.10), value=(0.50, 0.24, 0.63)) ** 2,
        clothes=linear(hsv(p["clothes"], hue=(0.60, 0.20), saturation=(0.35, 0.10), value=(0.42, 0.26, 0.40))),
    )


def expression(x: dict[str, float], gaze: Array) -> dict[str, float]:
    """Weights of the head model's expression shapes, named as there; what is not named is zero."""
    smile = clip(soft(0.45 * x["smile"] + 0.05), 1.15)
    frown = clip(soft(-0.45 * x["smile"] - 0.35), 0.9)
    pucker = 1.25 * x["pucker"]
    look_left, look_up = np.tanh(gaze * np.array([0.75, 0.45])) * np.array([0.95, 0.7])
    brow, inner, wide = x["brow"], 0.6 * x["inner_brow"], 0.5 * x["eyes_wide"]
    weights = {
        "jawOpen": clip(soft(0.42 * x["jaw"] - 0.22), 1.0),
        "mouthPucker": clip(soft(0.45 * pucker - 0.55), 1.0),
        "mouthFunnel": 0.7 * clip(soft(0.4 * pucker - 0.5), 0.8),
        "mouthShrugLower": clip(soft(-0.175 * x["lower_lip"] - 0.4), 0.7),
        "eyeLookOut_L": max(look_left, 0.0),
        "eyeLookIn_R": max(look_left, 0.0),
        "eyeLookIn_L": max(-look_left, 0.0),
        "eyeLookOut_R": max(-look_left, 0.0),
    }
    for side, sign in (("_L", 1), ("_R", -1)):
        lid = 1.06 * sigmoid(3.2 * (x["blink"] + 1.04 * sign * x["wink"] - 1.25))
        blink = clip(lid + 0.10 * soft(-0.74 * look_up - 0.05), 1.04)  # lids follow eyes that look down
        weights |= {
            "mouthSmile" + side: smile,
            "cheekSquint" + side: 0.55 * smile,
            "mouthDimple" + side: 0.25 * smile,
            "mouthFrown" + side: frown,
            "mouthStretch" + side: clip(soft(-0.4 * pucker - 0.4), 0.9),
            "mouthLowerDown" + side: clip(soft(0.21 * x["lower_lip"] - 0.45), 1.0),
            "eyeBlink" + side: blink,
            "eyeWide" + side: clip(soft(0.5 * wide - 0.08), 1.1) * (1 - blink),
            "eyeSquint" + side: clip(soft(-0.5 * wide - 0.35) + 0.25 * smile, 1.1) * (1 - blink),
            "eyeLookUp" + side: max(look_up, 0.0),
            "eyeLookDown" + side: max(-look_up, 0.0),
            "browOuterUp" + side: clip(soft(0.5 * brow - 0.1), 1.1),
            "browDown" + side: clip(soft(-0.5 * brow - 0.1), 1.1),
            "browInnerUp" + side: clip(soft(0.35 * brow + 0.4 * inner - 0.15), 1.1),
        }
    return weights


def lights(values: Array) -> tuple[Light, Light]:
    """Key and fill light; the fill comes from the other side."""
    azimuth = np.radians(62 * np.tanh(0.42 * values[0]))
    elevation = np.radians(34 + 20 * np.tanh(0.24 * values[1]))
    towards = np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
    other = np.array([-0.8 * np.sin(azimuth), 0.15, 0.8])
    strength, fill = 0.98 * np.exp(0.028 * values[2]), 0.24 * np.exp(0.105 * values[3])
    return Light(towards, np.full(3, strength)), Light(other / np.linalg.norm(other), np.full(3, fill))


def lip_colour(skin: Array, melanin: float, lipstick: float) -> Array:
    share = 0.75 * clip(soft(0.2 * lipstick - 0.65), 1.0) * (0.9 - 0.4 * melanin)
    return skin * np.array([0.90, 0.58, 0.57]) * (1 - share) + share * np.array([0.36, 0.03, 0.045])


def hair_colour(values: Array, melanin: float) -> Array:
    """Dark skin rarely goes with fair hair."""
    tone, red, grey = values * np.array([1.0, 0.6, 0.5])
    base = ramp(float(ndtr(0.95 * tone + 0.1)) * (1 - 0.75 * melanin**1.5) * 0.98, HAIR)
    base = base * (1 + clip(soft(0.6 * red - 0.4), 1.0) * (1 - 0.8 * melanin) * np.array([0.9, -0.15, -0.5]))
    share = clip(soft(0.7 * grey - 1.0), 0.95)
    return np.clip(base * (1 - share) + share * np.array([0.40, 0.40, 0.41]), 0.006, 0.85)


def hair_length(value: float) -> float:
    """Centimetres."""
    return 1.3 + 2.2 * soft(0.54 * value + 0.75, 3.0) + 13.0 * soft(0.765 * value - 0.35, 3.0) ** 1.2


def hsv(values: Array, *, hue: tuple[float, float], saturation: tuple[float, float], value: tuple[float, ...]) -> Array:
    """sRGB colour of three normal numbers; each pair is a middle and a spread (the value's steepness last)."""
    h = 6 * ((hue[0] + hue[1] * values[0]) % 1.0)
    s = np.clip(saturation[0] + saturation[1] * values[1], 0.02, 0.7)
    v = np.clip(value[0] + value[1] * np.tanh(value[2] * values[2]), 0.05, 1.0)
    sector = np.clip(np.abs((h + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1, 0, 1)
    return v * (1 - s + s * sector)


def linear(srgb: Array) -> Array:
    """sRGB in 0…1 → linear light."""
    return np.where(srgb < 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


@dataclass(frozen=True, slots=True)
class Ramp:
    """A colour ramp: positions in 0…1 and linear colours."""

    positions: tuple[float, ...]
    colours: Array

    @classmethod
    def of(cls, *stops: tuple[float, tuple[int, int, int]]) -> Ramp:
        return cls(tuple(t for t, _ in stops), linear(np.array([rgb for _, rgb in stops]) / 255))


def ramp(position: float, colours: Ramp) -> Array:
    return np.array([np.interp(position, colours.positions, colours.colours[:, channel]) for channel in range(3)])


# fmt: off
SKIN = Ramp.of((0, (234, 194, 174)), (.28, (226, 182, 154)), (.5, (206, 158, 128)), (.7, (166, 118, 88)),
               (.87, (116, 77, 56)), (1, (80, 52, 39)))
HAIR = Ramp.of((0, (24, 20, 19)), (.3, (48, 34, 27)), (.5, (84, 58, 42)), (.68, (128, 92, 62)),
               (.86, (184, 148, 100)), (1, (222, 198, 152)))
IRIS = Ramp.of((0, (62, 40, 24)), (.4, (92, 62, 34)), (.6, (104, 92, 52)), (.74, (92, 112, 84)),
               (.86, (92, 124, 148)), (1, (132, 152, 168)))
# fmt: on


def soft(x: float, sharpness: float = 6.0) -> float:
    """A smooth max(x, 0)."""
    return float(np.logaddexp(0.0, sharpness * x) / sharpness)


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def clip(x: float, high: float) -> float:
    return min(max(x, 0.0), high)
