# SPDX-License-Identifier: Apache-2.0
"""Where a face comes from, and how it is opened and released."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..errors import ProtocolError
from .photos import check_picture
from .values import Array, Buffer, Pose

SEEDS = 2**32  # people by number
MOST_SEEDS = 64  # to choose from: each is a pass through the mapping network

Alignment = Literal["auto", "model", "ffhq", "whole"]


@dataclass(frozen=True, slots=True)
class FromSeed:
    """The person with the number ``seed`` (0 … 2³²−1), pulled to the mean face by 1 − ``truncation`` (0 … 2).

    Of ``seeds`` (1 … 64) numbers from there on, the one whose expression is nearest to the average face's is taken:
    some people whom a generator knows laugh, or have their eyes shut. ``model`` is whose face it is, nil the served
    one's.
    """

    seed: int
    truncation: float = 0.7
    seeds: int = 1
    model: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.seed < SEEDS or not 1 <= self.seeds <= MOST_SEEDS or not 0 <= self.truncation <= 2:
            raise ProtocolError(
                "bad-field",
                f"seed {self.seed}, seeds {self.seeds} or truncation {self.truncation:.3g} is out of range: a seed "
                f"runs from 0 to {SEEDS - 1}, seeds from 1 to {MOST_SEEDS}, truncation from 0 to 2",
            )


@dataclass(frozen=True, slots=True)
class FromLatent:
    """The face that an Identity's ``latent`` anchors; ``model`` is the one that it came from, nil the served one."""

    latent: Buffer
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Mix:
    """A face between those of two latents of one model: w0 + ``share`` · (w1 − w0), ``share`` from 0 to 1."""

    latent: Buffer
    other: Buffer
    share: float
    model: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ProtocolError("bad-field", f"share {self.share:.3g} is out of range: it runs from 0 to 1")


@dataclass(frozen=True, slots=True)
class FromPhoto:
    """Somebody made of a face in a picture. Long work.

    ``picture`` is a PNG or JPEG file in ``pieces``, ``face`` counts its faces from the largest, 1. ``alignment`` says
    how the face is cut out: as the "model"'s own are, as "ffhq"'s are, the picture as a "whole", or "auto": as the
    model's unless it is cut so already. ``tune``: the generator is changed for this person, until it paints them.
    """

    picture: tuple[Buffer, ...]
    face: int = 1
    alignment: Alignment = "auto"
    tune: bool = False
    model: str | None = None

    def __post_init__(self) -> None:
        check_picture(self.picture, self.face)


Source: TypeAlias = FromSeed | FromLatent | Mix | FromPhoto
"""Where a face comes from. More may come: whoever meets an unknown kind refuses it with ``bad-field``."""


@dataclass(frozen=True, slots=True)
class OpenIdentity:
    """Anchors a face. Refused with ``wrong-model`` where the service has not the model of its latent.

    Answered by Identity, or by Job where it takes long.
    """

    source: Source


@dataclass(frozen=True, slots=True)
class Identity:
    """An open identity. Keep ``latent`` (and ``model``): it opens the same face again, on any machine.

    ``rest`` is [3, L], the identity's own face with all controls at 0; ``pose`` the camera of its picture.
    ``seed`` is the number that was taken; nil for a latent.
    """

    identity: str
    model: str
    latent: Buffer
    pose: Pose
    rest: Array
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """Forgets an identity that this client opened."""

    identity: str
