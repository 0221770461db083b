# SPDX-License-Identifier: Apache-2.0
"""What the page shows: a person, a pose and expression, and whether picture, head, normals or depth."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from effigy_protocol.messages import SEEDS, PassName

from ..faces import FaceModel
from ..painting import Moment, PaintingError

PICTURE, HEAD = "picture", "head"  # HEAD is the picture with its background cut away
SHOWS = (PICTURE, HEAD, "normal", "depth")  # what can be seen of a face


@dataclass(frozen=True, slots=True)
class PageView:
    """One view of a face."""

    seed: int = 0
    truncation: float = 0.7
    moment: Moment = field(default_factory=Moment)
    show: str = PICTURE  # one of SHOWS

    @classmethod
    def read(cls, model: FaceModel, sent: object) -> PageView:
        """Reads what a browser has sent, which may be anything. Raises PaintingError."""
        if not isinstance(sent, dict):
            raise PaintingError("the page has sent no person and pose: load it again")
        seed, show, controls = sent.get("seed"), sent.get("show", PICTURE), sent.get("controls", {})
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < SEEDS:
            raise PaintingError(f"a seed is a whole number from 0 to {SEEDS - 1}")
        if show not in SHOWS:
            raise PaintingError(f"what can be shown is no {str(show)[:40]}, but {', '.join(SHOWS)}")
        if not isinstance(controls, dict) or not controls.keys() <= set(model.sliders):
            raise PaintingError(f"this model's controls are {', '.join(model.sliders) or 'none'}")
        return cls(
            seed,
            min(max(_number("truncation", sent.get("truncation", 0.7)), 0.0), 2.0),
            Moment(
                _angle("yaw", sent),
                _angle("pitch", sent),
                {name: _number(name, value) for name, value in controls.items()},
                min(max(_number("keep", sent.get("keep", 1.0)), 0.0), 1.0),
            ),
            str(show),
        )

    def as_sent(self) -> dict[str, Any]:
        """Returns it as a browser sends it, the inverse of ``read``."""
        moment = self.moment
        return {
            "seed": self.seed, "truncation": self.truncation, "yaw": moment.yaw, "pitch": moment.pitch,
            "controls": dict(moment.controls), "show": self.show, "keep": moment.keep,
        }  # fmt: skip

    @property
    def pass_name(self) -> PassName | None:
        """The pass to see; None for a picture."""
        return "normal" if self.show == "normal" else "depth" if self.show == "depth" else None

    def words(self, yaw: float, pitch: float) -> str:
        """Describes the picture at this pose in words, for screen readers."""
        moved = [f"{name} {value:.2f}" for name, value in self.moment.controls.items() if value]
        what = "" if self.show == PICTURE else f"{self.show} of "
        return ", ".join([f"{what}the face of seed {self.seed}", f"yaw {yaw:.0f}°, pitch {pitch:.0f}°", *moved])


def _angle(name: str, sent: dict[str, object]) -> float | None:
    return None if (value := sent.get(name)) is None else _number(name, value)


def _number(name: str, value: object) -> float:
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    except OverflowError:  # JSON has integers that no float is as large as
        pass
    raise PaintingError(f"{name} must be a number")
