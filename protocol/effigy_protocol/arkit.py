# SPDX-License-Identifier: Apache-2.0
"""A face in ARKit's blend shapes, as the Live Link Face app records and sends it.

A recording is a table (CSV) with a row for each moment: the timecode, how many values follow, 52 shapes from 0 to 1,
and angles of the head and of both eyes in radians.

A packet (big-endian): VERSION (one byte); the device's id and the subject's name, each as its
LENGTH and so many bytes; TIME: frame, its fraction and the rate as numerator and denominator; how many values follow
(one byte), and VALUES, in the order of NAMES. One without values saw no face.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile

# In the order of the app.
SHAPES = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft",
    "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight",
    "eyeSquintRight", "eyeWideRight", "jawForward", "jawLeft", "jawRight", "jawOpen", "mouthClose", "mouthFunnel",
    "mouthPucker", "mouthLeft", "mouthRight", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft",
    "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft",
    "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft",
    "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
ANGLES = (
    "headYaw", "headPitch", "headRoll", "leftEyeYaw", "leftEyePitch", "leftEyeRoll", "rightEyeYaw", "rightEyePitch",
    "rightEyeRoll",
)  # fmt: skip
NAMES = (*SHAPES, *ANGLES)

VERSION = 6
LENGTH = struct.Struct(">i")
TIME = struct.Struct(">ifii")
VALUES = struct.Struct(f">{len(NAMES)}f")

SIDES = ("Left", "Right")
# What a control reads when ARKit has no shape of its very name: (shape, weight), by the control's name without its
# side.
SOURCES: dict[str, tuple[tuple[str, float], ...]] = {
    "mouthSmile": (("mouthSmile", 1.0), ("mouthFrown", -1.0)),
    "mouthPucker": (("mouthPucker", 1.0), ("mouthStretch", -0.5)),
    "eyeBlink": (("eyeBlink", 1.0), ("eyeWide", -0.5)),
    "browUp": (("browInnerUp", 0.5), ("browOuterUp", 0.5), ("browDown", -1.0)),
    "browInnerUp": (("browInnerUp", 1.0), ("browDown", -0.5)),
    "gazeSide": (("eyeLookOutLeft", 0.5), ("eyeLookInRight", 0.5), ("eyeLookInLeft", -0.5), ("eyeLookOutRight", -0.5)),
    "gazeUp": (("eyeLookUp", 1.0), ("eyeLookDown", -1.0)),
    "jawSide": (("jawLeft", 1.0), ("jawRight", -1.0)),
}
_SOURCES = {control.lower(): terms for control, terms in SOURCES.items()}


def split_side(control: str, twin: str) -> tuple[str, str]:
    """Splits a control's name into action and side. ``twin`` is the other side's control, or the same one."""
    same = takewhile(lambda letters: letters[0] == letters[1], zip(control, twin, strict=False))
    length = sum(1 for _ in same)
    return control[:length], control[length:]


def sources(control: str, twin: str, known: Collection[str]) -> list[tuple[str, float]]:
    """Returns the shapes among ``known`` whose weighted sum drives ``control``, as (shape, weight); [] if there are
    none.

    Each shape is looked for with the control's side, then without a side, then as the mean of both sides. Case does not
    matter, because recordings differ in it.
    """
    action, side = split_side(control, twin)
    spelt = {name.lower(): name for name in known}
    terms = []
    for shape, weight in _SOURCES.get(action.lower(), ((action, 1.0),)):
        for names in ((shape + side,), (shape,), tuple(shape + each for each in SIDES)):
            if found := [spelt[name.lower()] for name in names if name.lower() in spelt]:
                terms += [(name, weight / len(found)) for name in found]
                break
    return terms


OWN = "Effigy"  # prefix of our recordings' columns for controls that ARKit's shapes cannot express
_EYES_REACH = 30.0  # degrees that an eye turns where its shape is 1
CLOCK = 60  # frames per second of the timecodes that are written here, and of the app's


@dataclass(frozen=True, slots=True)
class CapturedFrame:
    """What a face shows at one time.

    Angles are degrees: yaw > 0 turns the nose to the picture's right, pitch > 0 lifts it, roll > 0 is
    counter-clockwise.
    """

    seconds: float
    shapes: Mapping[str, float]  # of SHAPES, 0 … 1
    yaw: float
    pitch: float
    roll: float
    own: Mapping[str, float] = field(default_factory=dict)  # controls that shapes cannot express, −1 … 1 of their range

    def values(self) -> list[float]:
        """Returns the values of NAMES. ARKit's axes are those of the face frame; only its pitch has the other sign."""
        named = {name: min(max(float(self.shapes.get(name, 0.0)), 0.0), 1.0) for name in SHAPES}
        head = (math.radians(self.yaw), -math.radians(self.pitch), math.radians(self.roll))
        reach = math.radians(_EYES_REACH)
        eyes = []
        for side, outwards in (("Left", 1.0), ("Right", -1.0)):
            yaw = outwards * (named[f"eyeLookOut{side}"] - named[f"eyeLookIn{side}"])
            pitch = named[f"eyeLookDown{side}"] - named[f"eyeLookUp{side}"]
            eyes += [reach * yaw, reach * pitch, 0.0]
        return [*named.values(), *head, *eyes]


def csv_rows(moments: Iterable[CapturedFrame], own: tuple[str, ...] = ()) -> Iterator[list[str]]:
    """Yields the table's rows, the header first. The controls ``own`` get further columns."""
    yield ["Timecode", "BlendShapeCount", *map(_capital, NAMES), *(OWN + _capital(name) for name in own)]
    for moment in moments:
        values = [*moment.values(), *(moment.own[name] for name in own)]
        yield [_timecode(moment.seconds), str(len(NAMES)), *(f"{value:.6f}" for value in values)]


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]


def _timecode(seconds: float) -> str:
    """Formats a time as hh:mm:ss:ff.fff at 60 frames per second, rounded up, so that the last frame is not lost."""
    thousandths = math.ceil(seconds * CLOCK * 1000 - 1e-6)
    whole, rest = divmod(thousandths, CLOCK * 1000)
    return f"{whole // 3600 % 24:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}:{rest / 1000:06.3f}"
