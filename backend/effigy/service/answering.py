# SPDX-License-Identifier: Apache-2.0
"""Computes a service's answers. Holds the models, the clients' open identities and their long work; knows no socket and
no thread.

The worker calls it for a service, ``in_process`` for a client in this process.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray

from effigy_protocol.messages import (
    SEEDS,
    Buffer,
    Done,
    Error,
    Frame,
    FromLatent,
    FromPhoto,
    FromSeed,
    Identity,
    Mix,
    OpenIdentity,
    ReadPicture,
    Release,
    Reply,
    Synthesize,
    Timings,
    Welcome,
)
from effigy_protocol.record import Record

from ..editing import InverseOptions
from ..faces import BundleError, Edit, FaceModel, LatentError
from ..faces import Identity as Anchor
from ..faces.pictures import Pictures, needs_light
from ..faces.shipped import FaceModels
from ..faces.welcome import encode_floats, encode_halves, welcome
from .encode import encode_picture
from .exr import exr
from .identities import Identities, Opened
from .jobs import Jobs, Steps
from .live_mattes import LiveMattes
from .portraits import Portraits
from .readings import PictureReadings
from .refusals import RefusedError, guarded
from .scheduler import Forget, Queued

_Change = OpenIdentity | ReadPicture | Release  # done in order, beside the painting of pictures


class Answering:
    """Answers requests. It is called from one thread only."""

    def __init__(self, model: FaceModel, jobs: Jobs) -> None:
        """``model`` is served, and closed by ``close``. Long work goes to ``jobs``."""
        self._models = FaceModels(model)
        self._jobs = jobs
        self._identities = Identities()
        self._readings = PictureReadings()
        self._portraits = Portraits()
        self._mattes = LiveMattes()
        self.painted = 0  # pictures

    @property
    def model(self) -> FaceModel:
        """The model that is served."""
        return self._models.served

    @property
    def identities(self) -> int:
        """The number of open identities."""
        return len(self._identities)

    def welcome(self) -> Welcome:
        """Returns the served model's description, the answer to Hello."""
        return welcome(self.model, self._models.others)

    def together(self, queued: Queued) -> int:
        """Returns how many more finals should be painted together with ``queued``."""
        is_final = isinstance(queued.request, Synthesize) and queued.request.purpose == "final"
        return self.model.painter.batch - 1 if is_final else 0

    def answer(self, queue: Sequence[Queued]) -> list[Reply]:
        """Returns the replies to one request, or to several finals in one encoding. A failure becomes an Error and is
        never raised.
        """
        match queue[0].request:
            case Forget():
                raise TypeError("a client that left is not answered")
            case Synthesize():
                return self._synthesize(queue)
            case request:
                work = partial(self._begun, queue[0].client, request, queue[0].size)
                return [guarded(type(request).__name__, work)]

    def forget(self, client: bytes) -> None:
        """Releases everything that a client held that has left."""
        self._identities.forget(client)
        self._jobs.forget(client)
        self._mattes.forget(client)

    def close(self) -> None:
        """Ends long work and closes the models."""
        self._jobs.close()
        self._readings.close()
        self._portraits.close()
        self._models.close()
        self._mattes.close()

    def _begun(self, client: bytes, request: _Change, size: int) -> Reply:
        """Carries out a request of ``size`` bytes, or begins its long work; returns the reply."""
        done = self._change(client, request)
        return self._jobs.begin(client, done, size) if isinstance(done, Generator) else done

    def _change(self, client: bytes, request: _Change) -> Reply | Steps:
        match request:
            case Release(identity):
                return Done(int(self._identities.release(client, identity)))
            case ReadPicture(identity=identity):
                if identity is None:
                    return self._readings.begin(self._models.served, request, None)
                opened = self._opened(client, identity)
                return self._readings.begin(opened.model, request, opened.model.own_expression(opened.anchor))
            case OpenIdentity(FromPhoto() as photo):
                hold = partial(self._hold, client, own=request.own)
                return self._portraits.begin(_model_of(photo.model, self._models), photo, hold)
            case OpenIdentity():
                return self._open(client, request)

    def _opened(self, client: bytes, identity: str) -> Opened:
        """Returns the open identity. Raises RefusedError if it is not open."""
        opened = self._identities.get(client, identity)
        if opened is None:
            raise RefusedError(
                "unknown-identity",
                f"identity {identity!r} is not open here",
                "open it again with its latent; a restarted backend has forgotten it",
            )
        return opened

    def _open(self, client: bytes, request: OpenIdentity) -> Identity:
        model = self._models.served
        seed: int | None = None
        try:
            match request.source:
                case FromSeed(first, truncation, seeds, known):
                    model = _model_of(known, self._models)
                    seed = first if seeds == 1 else model.calmest(first, min(seeds, SEEDS - first), truncation)
                    anchor = model.open_seed(seed, truncation)
                case FromLatent(latent, known):
                    model = _model_of(known, self._models)
                    anchor = model.open_latent(latent)
                case Mix(latent, other, share, known):
                    model = _model_of(known, self._models)
                    anchor = model.open_latent(latent, other, share)
        except LatentError as error:
            raise RefusedError("bad-field", str(error), "open another face, by its seed") from None
        return self._hold(client, model, anchor, seed, own=request.own)

    def _hold(
        self, client: bytes, model: FaceModel, anchor: Anchor, seed: int | None = None, *, own: bool = False
    ) -> Identity:
        """Opens a face for the client."""
        self._identities.open(client, Opened(model, anchor))
        rest, told = encode_floats(anchor.rest), model.own_expression(anchor) if own else None
        return Identity(anchor.key, model.model_id, anchor.latent, anchor.pose, rest, seed, told)

    def _synthesize(self, queue: Sequence[Queued]) -> list[Reply]:
        """Paints a preview, or finals in one encoding together; each may be refused, or fail, by itself."""
        edits = [guarded(type(queued.request).__name__, partial(self._edit, queued)) for queued in queue]
        edited = [edit for edit in edits if isinstance(edit, _Edited)]
        frames: dict[int, Frame | Error] = {}
        for model in {id(each.model): each.model for each in edited}.values():
            own = [each for each in edited if each.model is model]
            frames |= zip(map(id, own), _frames(model, queue[0], own, self._mattes), strict=True)
        answers: list[Reply] = [frames[id(edit)] if isinstance(edit, _Edited) else edit for edit in edits]
        self.painted += sum(isinstance(answer, Frame) for answer in answers)
        return answers

    def _edit(self, queued: Queued) -> _Edited:
        started, request = time.monotonic(), queued.request
        if not isinstance(request, Synthesize):
            raise TypeError(f"a {type(request).__name__} asks for no picture")
        opened = self._opened(queued.client, request.identity)
        model = opened.tuned
        if unknown := sorted(request.controls.keys() - set(model.sliders)):
            raise RefusedError(
                "bad-field",
                f"this model has no control {', '.join(unknown)}",
                f"its controls are {', '.join(model.sliders)}",
            )
        if request.purpose == "final" and request.encoding == "jpeg":
            raise RefusedError("bad-field", "a final picture is lossless, jpeg is not", "ask for rgba8 or png")
        if request.matte != "none" and request.encoding == "jpeg":
            raise RefusedError("bad-field", "a matte is an alpha, jpeg has none", "ask for rgba8 or png")
        options = InverseOptions(keep=request.keep)
        edit = model.edit(opened.anchor, request.yaw, request.pitch, request.controls, options)
        return _Edited(model, request, opened.anchor, edit, started - queued.arrived, time.monotonic() - started)


def _model_of(known: str | None, models: FaceModels) -> FaceModel:
    """Returns the model that a latent belongs to; the served one if ``known`` is None. Raises RefusedError."""
    served = models.served
    if known is None:
        return served
    try:
        model = models.get(known)
    except BundleError as error:
        raise RefusedError("failed", str(error), "install Effigy again") from None
    if model is None:
        raise RefusedError(
            "wrong-model",
            f"this face belongs to model {known}; the backend runs {served.model_id} ({served.name})",
            "start the backend with the face's own model, or give the face a new identity",
        )
    return model


@dataclass(frozen=True, slots=True)
class _Edited:
    """A request whose latent was found, with the seconds that it waited and that the inverse took."""

    model: FaceModel
    request: Synthesize
    anchor: Anchor
    edit: Edit
    queue: float
    inverse: float


def _frames(model: FaceModel, queued: Queued, edited: list[_Edited], mattes: LiveMattes) -> Sequence[Frame | Error]:
    """Returns the pictures of ``edited``, whose first request is ``queued``. If painting them together fails, each is
    painted alone.
    """
    if not edited:
        return []
    frames = guarded(type(queued.request).__name__, partial(_paint, model, queued, edited, mattes))
    if not isinstance(frames, Error):
        return frames
    if len(edited) == 1:
        return [frames]
    return [
        frame for each in edited for frame in _frames(model, queued, [each], mattes)
    ]  # the others' may be other clients'


def _paint(model: FaceModel, queued: Queued, edited: list[_Edited], mattes: LiveMattes) -> list[Frame]:
    """Paints several finals in one encoding, or one preview."""
    started, request = time.monotonic(), edited[0].request
    ws = torch.stack([each.edit.ws for each in edited])
    is_final = request.purpose == "final" or request.encoding in ("png16", "exr")
    pictures = model.finals(ws) if is_final else model.preview(ws[0], half=request.half)
    if not is_final and pictures.is_slow(request.passes, request.matte):
        seen = model.see(ws[0]) if pictures.needs_surface(request.passes) else None
        pictures = mattes.dress(queued.client, request.stream, replace(pictures, seen=seen))
    synthesis = (time.monotonic() - started) / len(edited)
    return [_frame(each, pictures.only(row), synthesis) for row, each in enumerate(edited)]


def _frame(edited: _Edited, pictures: Pictures, synthesis: float) -> Frame:
    """Encodes the one picture in ``pictures`` as it was asked for."""
    request, edit, started = edited.request, edited.edit, time.monotonic()
    model, passes = edited.model, {}
    pictures = model.prepared(pictures, edit.ws, request.passes, request.matte)
    light = model.light(edited.anchor) if needs_light(request.passes) else None
    if request.encoding == "exr":
        data: Buffer = exr(pictures, light, _record(edited))
    else:
        deep = request.encoding == "png16"
        pixels: NDArray[Any] = pictures.words(request.matte) if deep else pictures.bytes(request.matte)
        data = encode_picture(pixels[0], request.encoding)
        passes = pictures.passes(request.passes, light, request.matte)
    seconds = edited.queue, edited.inverse, synthesis, time.monotonic() - started
    return Frame(
        identity=request.identity,
        purpose=request.purpose,
        height=pictures.images.shape[2],
        width=pictures.images.shape[3],
        encoding=request.encoding,
        data=data,
        exact=pictures.is_exact,
        pose=edit.pose,
        clamped=edit.clamped,
        residual=edit.residual,
        timings=Timings(*(1e3 * each for each in seconds)),
        half=pictures.is_half,
        passes={name: encode_halves(array) for name, array in passes.items()},
    )


def _record(edited: _Edited) -> Record:
    """Returns the record of what the picture is made from, the same that its client would make."""
    request, controls = edited.request, tuple(edited.request.controls.items())
    metres = request.unit, request.distance
    return Record.of(
        edited.model.model_id, bytes(edited.anchor.latent), request.yaw, request.pitch, controls,
        request.encoding, request.matte, request.passes, metres, request.keep,
    )  # fmt: skip
