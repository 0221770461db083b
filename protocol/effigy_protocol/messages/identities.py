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

    picture: tuple[Buffer, ...]  # a PNG, JPEG or WebP file in ``pieces``
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
    """Opens an identity. Answered by Identity, or by Job where it takes long.

    Refused with ``wrong-model`` where the service does not have the model of the latent.
    """

    source: Source
    own: bool = later(False)  # whether the Identity shall tell its own expression


@dataclass(frozen=True, slots=True)
class Identity:
    """An open identity. Keep ``latent`` and ``model``: they open the same face again, on any machine.

    ``own`` is by how much its own expression differs from the average face's, by control, if that was asked for.
    """

    identity: str  # to name it in requests, while it is open
    model: str  # the model's id
    latent: Buffer  # a safetensors file
    pose: Pose  # the camera of its own picture
    rest: Array  # [3, L], its landmarks with all controls at 0
    seed: int | None = None  # the number that was taken; None for a latent
    own: dict[str, float] | None = later(None)  # noqa: RUF009 the field() that it returns


@dataclass(frozen=True, slots=True)
class Release:
    """Gives up an identity that this client opened. Answered by Done."""

    identity: str
