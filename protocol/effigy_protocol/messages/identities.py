# SPDX-License-Identifier: Apache-2.0
"""Opens identities, from a seed, a latent, a mixture or a photograph, and releases them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..errors import ProtocolError
from .photos import check_picture
from .values import Array, Buffer, Pose, later

SEEDS = 2**32  # people by number
MOST_SEEDS = 64  # to choose from: each is a pass through the mapping network

Alignment = Literal["auto", "model", "ffhq", "whole"]


@dataclass(frozen=True, slots=True)
class FromSeed:
    """A person by number.

    Of ``seeds`` numbers from ``seed`` on, the one whose expression is nearest to the average face's is taken, because
    some seeds give people who laugh, or have their eyes shut.
    """

    seed: int  # 0 … 2³² − 1
    truncation: float = 0.7  # ψ, 0 … 2: 0 gives the mean face
    seeds: int = 1  # 1 … 64
    model: str | None = None  # the model's id; None: the served one

    def __post_init__(self) -> None:
        if not 0 <= self.seed < SEEDS or not 1 <= self.seeds <= MOST_SEEDS or not 0 <= self.truncation <= 2:
            raise ProtocolError(
                "bad-field",
                f"seed {self.seed}, seeds {self.seeds} or truncation {self.truncation:.3g} is out of range: a seed "
                f"runs from 0 to {SEEDS - 1}, seeds from 1 to {MOST_SEEDS}, truncation from 0 to 2",
            )


@dataclass(frozen=True, slots=True)
class FromLatent:
    """A person by the latent of an earlier Identity."""

    latent: Buffer
    model: str | None = None  # the id of the model that it is of; None: the served one


@dataclass(frozen=True, slots=True)
class Mix:
    """A person between two latents of one model: w0 + share · (w1 − w0)."""

    latent: Buffer  # w0
    other: Buffer  # w1
    share: float  # 0 … 1
    model: str | None = None  # the model's id; None: the served one

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ProtocolError("bad-field", f"share {self.share:.3g} is out of range: it runs from 0 to 1")


@dataclass(frozen=True, slots=True)
class FromPhoto:
    """A person made of a face in a picture. Long work.

    ``alignment`` says how the face is cut out: as the "model"'s own pictures are, as those of "ffhq" are, the "whole"
    picture, or "auto": as the model's, unless the picture is already cut like that.
    """

    picture: tuple[Buffer, ...]  # a PNG or JPEG file in ``pieces``
    face: int = 1  # which face of the picture, counted from the largest, 1
    alignment: Alignment = "auto"
    tune: bool = False  # whether the generator is changed for this person
    model: str | None = None  # the model's id; None: the served one

    def __post_init__(self) -> None:
        check_picture(self.picture, self.face)


Source: TypeAlias = FromSeed | FromLatent | Mix | FromPhoto
"""Where a face comes from. Later versions may add kinds; an unknown kind is refused with ``bad-field``."""


@dataclass(frozen=True, slots=True)
class OpenIdentity:
    """Anchors a face. Refused with ``wrong-model`` where the service has not the model of its latent.

    Answered by Identity, or by Job where it takes long. ``own``: the Identity is to tell its own expression.
    """

    source: Source
    own: bool = later(False)


@dataclass(frozen=True, slots=True)
class Identity:
    """An open identity. Keep ``latent`` (and ``model``): it opens the same face again, on any machine.

    ``rest`` is [3, L], the identity's own face with all controls at 0; ``pose`` the camera of its picture.
    ``seed`` is the number that was taken; nil for a latent. ``own``: what its own face shows beyond the average face's,
    by control, where that was asked for.
    """

    identity: str
    model: str
    latent: Buffer
    pose: Pose
    rest: Array
    seed: int | None = None
    own: dict[str, float] | None = later(None)  # noqa: RUF009 the field() that it returns


@dataclass(frozen=True, slots=True)
class Release:
    """Forgets an identity that this client opened. Answered by Done."""

    identity: str
