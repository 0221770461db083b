# SPDX-License-Identifier: Apache-2.0
"""Every message, as a typed dataclass.

Angles are degrees, lengths are in units of the mean face's outer-eye distance, picture coordinates run
from 0 to 1 over the generator's frame (x right, y down), milliseconds are wall time. A ``Buffer`` field
travels as a frame of its own behind the header; everything else travels in the header.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from .errors import ErrorCode, ProtocolError
from .limits import MAX_FILE_BYTES, REQUEST_LIMITS

ITEM_BYTES = {"f2": 2, "f4": 4, "i4": 4}  # of the array types
MAX_DIMENSIONS = 4
SEEDS = 2**32  # people by number
MOST_SEEDS = 64  # to choose from: each is a pass through the mapping network
MOST_FACES = 16  # of a picture
PHOTO_POINTS = 478  # of a face: MediaPipe's mesh, and ten of the irises
HEAD_UNIT = 0.09  # metres: about what adults' outer eye corners are apart
MAX_POSE = 1e6  # of a camera's scale, what it divides by, and its shift: a scene's numbers are float32

Buffer: TypeAlias = bytes | memoryview
Purpose = Literal["preview", "final"]
Encoding = Literal["rgba8", "png", "png16", "jpeg", "exr"]
Phase = Literal["loading", "ready", "failed"]
MatteName = Literal["none", "head"]
Alignment = Literal["auto", "model", "ffhq", "whole"]
PassName = Literal["normal", "depth", "albedo"]
PASS_CHANNELS: dict[PassName, int] = {"normal": 3, "depth": 1, "albedo": 3}  # of every pass


@dataclass(frozen=True, slots=True)
class Array:
    """A little-endian, C-ordered array. ``data`` has exactly the bytes that dtype and shape say."""

    dtype: Literal["f2", "f4", "i4"]
    shape: tuple[int, ...]
    data: Buffer

    def __post_init__(self) -> None:
        if len(self.shape) > MAX_DIMENSIONS or not all(0 <= size < 2**31 for size in self.shape):
            raise ProtocolError("bad-field", f"an array has at most {MAX_DIMENSIONS} sizes, each from 0 to 2^31")
        wanted = math.prod(self.shape) * ITEM_BYTES[self.dtype]
        if (given := memoryview(self.data).nbytes) != wanted:
            raise ProtocolError("bad-field", f"an array of shape {self.shape} has {wanted} bytes, not {given}")


@dataclass(frozen=True, slots=True)
class Pose:
    """A weak-perspective camera: u = scale·(R X)_x + x, v = −scale·(R X)_y + y, R = Rz(roll) Rx(−pitch) Ry(yaw).

    Yaw > 0 turns the nose to the picture's right, pitch > 0 lifts it, roll > 0 is counter-clockwise. Scale is not zero:
    a plate is 1 / scale wide.
    """

    yaw: float
    pitch: float
    roll: float
    scale: float
    x: float
    y: float

    def __post_init__(self) -> None:
        if not 1 / MAX_POSE <= self.scale <= MAX_POSE or not max(abs(self.x), abs(self.y)) <= MAX_POSE:
            raise ProtocolError(
                "bad-field", f"no camera has the scale {self.scale:.3g} and the shift ({self.x:.3g}, {self.y:.3g})"
            )


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that a face is asked for by ``name``; ``low`` to ``high`` is the range of the data.

    Of an expression 0 is the identity's own, and low ≤ 0 ≤ high; "yaw" and "pitch" are degrees. In a mirror a face
    shows this parameter's value as that of ``mirror``: the same one, or the one of the other side. ``is_odd``: with its
    sign changed, as a turn's.
    """

    name: str
    group: str
    low: float
    high: float
    mirror: str
    is_odd: bool = False

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ProtocolError("bad-field", f"{self.name[:40]!r} cannot run from {self.low} to {self.high}")


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A face model: its id, and its name for people."""

    model: str
    name: str


@dataclass(frozen=True, slots=True)
class FaceBox:
    """Where a face is in a picture: 0 … 1 over it where it is not cut off by its edge, x to the right and y down."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the milliseconds of a frame went inside the service."""

    queue_ms: float
    inverse_ms: float
    synthesis_ms: float
    encode_ms: float


# --- requests ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello:
    """First message of a client, which it names; answered by Welcome, or by Error ``loading`` while the model loads."""

    client: str


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
        _check_picture(self.picture, self.face)


Source: TypeAlias = FromSeed | FromLatent | Mix | FromPhoto
"""Where a face comes from. More may come: whoever meets an unknown kind refuses it with ``bad-field``."""


@dataclass(frozen=True, slots=True)
class OpenIdentity:
    """Anchors a face. Refused with ``wrong-model`` where the service has not the model of its latent.

    Answered by Identity, or by Job where it takes long.
    """

    source: Source


@dataclass(frozen=True, slots=True)
class Synthesize:
    """Asks for one picture of an open identity.

    ``controls`` are offsets from the identity's own expression; a missing one is 0. Of the previews of
    one client and ``stream`` only the newest is painted; finals are painted in order, none is lost.
    ``half`` lets a preview be half as wide and high, where the generator can do that for less.
    ``passes`` names what is wanted beside the picture, each once; Welcome says which the model paints.
    ``matte``: the picture as it was painted, or the head alone, cut out with straight alpha.
    In an exr file depth is in metres from the camera, ``distance`` being that of the head's origin and ``unit`` that of
    a head unit.
    """

    identity: str
    yaw: float
    pitch: float
    controls: dict[str, float]
    purpose: Purpose = "preview"
    encoding: Encoding = "rgba8"
    stream: int = 0
    half: bool = False
    passes: tuple[PassName, ...] = ()
    matte: MatteName = "none"
    unit: float = HEAD_UNIT
    distance: float = 0.0

    def __post_init__(self) -> None:
        if len(set(self.passes)) < len(self.passes):
            raise ProtocolError("bad-field", f"a pass is asked for twice: {', '.join(self.passes)}")
        if not 1 / MAX_POSE <= self.unit <= MAX_POSE or not abs(self.distance) <= MAX_POSE:
            raise ProtocolError(
                "bad-field", f"no head has a unit of {self.unit:.3g} m, {self.distance:.3g} m away: in metres, please"
            )


@dataclass(frozen=True, slots=True)
class Cancel:
    """Takes back waiting Synthesize requests by id, or all of this client's when ``ids`` is empty."""

    ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Release:
    """Forgets an identity that this client opened."""

    identity: str


@dataclass(frozen=True, slots=True)
class ReadPicture:
    """Asks how a face in a picture is turned and what it expresses. Long work.

    ``picture`` is a PNG or JPEG file in the ``pieces`` that frames can carry. ``face`` counts its faces from the
    largest, 1. ``identity`` is an open one, by whose model it is read and whose own expression is told; nil: by the
    served model. ``painted``: a generator made the picture. Its faces are read otherwise than photographed ones, so
    that another average person counts as at rest.
    """

    picture: tuple[Buffer, ...]
    face: int = 1
    identity: str | None = None
    painted: bool = False

    def __post_init__(self) -> None:
        _check_picture(self.picture, self.face)


def _check_picture(picture: tuple[Buffer, ...], face: int) -> None:
    # The same frame may be named as several pieces.
    if (size := sum(memoryview(piece).nbytes for piece in picture)) > MAX_FILE_BYTES:
        raise ProtocolError("bad-field", f"a picture of {size} bytes; the limit is {MAX_FILE_BYTES}")
    if not 1 <= face <= MOST_FACES:
        raise ProtocolError("bad-field", f"face {face} of a picture: they are counted from 1 to {MOST_FACES}")


def pieces(data: bytes) -> tuple[memoryview, ...]:
    """A file cut so that each piece fits into a frame of a request."""
    view, most = memoryview(data), REQUEST_LIMITS.frame_bytes
    return tuple(view[start : start + most] for start in range(0, len(view), most))


@dataclass(frozen=True, slots=True)
class JobStatus:
    """Asks how far the long work ``job`` is: answered by Working, or by what it led to, which ends the job."""

    job: str


@dataclass(frozen=True, slots=True)
class CancelJob:
    """Ends the long work ``job``; the number of Done says whether there was any."""

    job: str


@dataclass(frozen=True, slots=True)
class Status:
    """Asks how the service is; answered even while the model loads or paints."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Heartbeat."""


# --- replies -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Welcome:
    """What a client needs to build its interface. ``resolution`` is (height, width).

    ``mean`` is [3, L] in the face frame (x right, y up, z towards the viewer), ``directions`` [C, 3, L]
    what one unit of each control adds to it, ``triangles`` [T, 3] a surface over the L landmarks,
    counter-clockwise seen from outside, ``mirror`` [L] the landmark on the other side. ``pose`` are the parameters
    of the head's turn, ``controls`` those of the expression. ``alpha``: the model paints an alpha of its own, which its
    matte then is. ``passes`` can be had beside a picture, ``mattes`` be asked for. ``others`` are models whose latents
    the service opens besides. ``reads_pictures``: whether the model can answer ReadPicture,
    ``makes_people``: FromPhoto.
    """

    server: str
    device: str
    model: str
    model_name: str
    resolution: tuple[int, int]
    topology: str
    mean: Array
    triangles: Array
    mirror: Array
    pose: tuple[Parameter, ...]
    controls: tuple[Parameter, ...]
    directions: Array
    alpha: bool = False
    passes: tuple[PassName, ...] = ()
    mattes: tuple[MatteName, ...] = ("none",)
    others: tuple[KnownModel, ...] = ()
    reads_pictures: bool = False
    makes_people: bool = False


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
class Frame:
    """One picture. ``rgba8`` is height × width × 4 bytes, top row first; others are whole files.

    Alpha is straight (in exr colours are times it), and 255 unless a matte was asked for; PNG and exr have it only
    then. ``passes`` has what Synthesize named (those of an exr are in the file), f2 [height, width, channels], top row
    first: "normal" (x right, y up, z to the viewer, in the picture's camera
    frame, −1 … 1) and "depth" (towards the viewer from the head's origin, in head units), both times alpha where the
    model paints alpha and them; and "albedo" (linear Rec.709: the picture without the smooth light that is on it).
    ``exact`` says that all this is what a final would have; a preview may come from a cheaper way. ``half``: it has
    half the width and height of the model's pictures.
    ``pose`` is the camera that the latent reached, ``clamped`` names what was asked beyond the data's range,
    ``residual`` says how much of what was asked, so limited, is missing: degrees of "yaw" and "pitch",
    units of controls.
    """

    identity: str
    purpose: Purpose
    height: int
    width: int
    encoding: Encoding
    data: Buffer
    exact: bool
    pose: Pose
    clamped: tuple[str, ...]
    residual: dict[str, float]
    timings: Timings
    half: bool = False
    passes: dict[PassName, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given, wanted = memoryview(self.data).nbytes, 4 * self.height * self.width
        if self.height <= 0 or self.width <= 0 or (self.encoding == "rgba8" and given != wanted):
            raise ProtocolError("bad-field", f"a frame of {self.width} × {self.height} cannot have {given} bytes")
        for name, array in self.passes.items():
            if (array.dtype, array.shape) != ("f2", (self.height, self.width, PASS_CHANNELS.get(name))):
                size = f"{self.width} × {self.height}"
                raise ProtocolError("bad-field", f"a frame of {size} has no such pass {name[:40]!r}")


@dataclass(frozen=True, slots=True)
class PictureRead:
    """What the face ``face`` of a picture shows, of those in ``faces``, the largest first.

    ``pose`` is the camera of the head as the model counts it. ``controls`` are what the face shows beyond an average
    person's at rest, as large as it was read; ``own`` is what the identity shows beyond that by itself, nil where none
    was named. Reading is linear: of two pictures of one person the difference is what the second shows beyond the
    first. ``confidence``: of each control, and of "yaw" and "pitch", the correlation of what is read with the truth,
    on people that the model did not learn it from. ``points`` is f4 [2, 478], x right and y down, 0 … 1 over the
    picture, which stands upright and has ``width`` and ``height`` pixels. ``residual``: by how many percent of the
    outer-eye distance the points that hardly move miss an average face's.
    """

    pose: Pose
    controls: dict[str, float]
    own: dict[str, float] | None
    confidence: dict[str, float]
    points: Array
    width: int
    height: int
    faces: tuple[FaceBox, ...]
    face: int
    residual: float

    def __post_init__(self) -> None:
        if (self.points.dtype, self.points.shape) != ("f4", (2, PHOTO_POINTS)):
            raise ProtocolError("bad-field", f"the points of a face are f4 [2, {PHOTO_POINTS}]")
        if not 1 <= self.face <= len(self.faces) <= MOST_FACES or min(self.width, self.height) < 1:
            raise ProtocolError("bad-field", f"there is no face {self.face} of {len(self.faces)} in a picture")


@dataclass(frozen=True, slots=True)
class Job:
    """Long work has begun. Ask for it with JobStatus, a few times a second; CancelJob ends it.

    It is the client's own, and ends when its client leaves.
    """

    job: str


@dataclass(frozen=True, slots=True)
class Working:
    """Long work goes on: ``share`` (0 … 1) of it is done, ``stage`` says in a word or two what is being done.

    ``preview``: what it looks like so far, a whole PNG or JPEG file, where there is something to see.
    """

    job: str
    share: float
    stage: str
    preview: Buffer | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ProtocolError("bad-field", f"no work is done to {self.share:.3g} of 1")


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The service's state; ``queued`` counts requests that wait, ``painted`` pictures made so far."""

    phase: Phase
    detail: str
    device: str
    uptime_s: float
    clients: int
    identities: int
    queued: int
    painted: int


@dataclass(frozen=True, slots=True)
class Done:
    """A Cancel or Release was carried out; ``count`` says on how many."""

    count: int


@dataclass(frozen=True, slots=True)
class Pong:
    """The service lives."""


@dataclass(frozen=True, slots=True)
class Error:
    """A request that was not carried out, why, and what its user can do about it."""

    code: ErrorCode
    message: str
    hint: str


Request: TypeAlias = (
    Hello | OpenIdentity | Synthesize | ReadPicture | Cancel | Release | JobStatus | CancelJob | Status | Ping
)
Reply: TypeAlias = Welcome | Identity | Frame | PictureRead | Job | Working | StatusReport | Done | Pong | Error

RESULTS: tuple[type[Reply], ...] = (Identity, PictureRead)
"""What long work may lead to."""

ANSWER_OF: dict[type[Request], tuple[type[Reply], ...]] = {
    Hello: (Welcome,),
    OpenIdentity: (Identity, Job),
    Synthesize: (Frame,),
    ReadPicture: (Job,),
    Cancel: (Done,),
    Release: (Done,),
    JobStatus: (Working, *RESULTS),
    CancelJob: (Done,),
    Status: (StatusReport,),
    Ping: (Pong,),
}
"""What may answer each request, unless an Error does."""
