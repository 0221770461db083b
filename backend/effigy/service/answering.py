# SPDX-License-Identifier: Apache-2.0
"""Computes a service's answers. Holds the models, the clients' open identities and their long work; knows no socket and
no thread.

The worker calls it for a service, ``in_process`` for a client in this process.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from functools import partial

from effigy_protocol.messages import (
    SEEDS,
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
    Welcome,
)

from ..editing import InverseOptions
from ..faces import BundleError, FaceModel, LatentError
from ..faces import Identity as Anchor
from ..faces.calm import calmest
from ..faces.shipped import FaceModels
from ..faces.welcome import encode_floats, welcome
from .frames import Edited, frames_of
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
                    seed = first if seeds == 1 else calmest(model, first, min(seeds, SEEDS - first), truncation)
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
        edited = [edit for edit in edits if isinstance(edit, Edited)]
        frames: dict[int, Frame | Error] = {}
        for model in {id(each.model): each.model for each in edited}.values():
            own = [each for each in edited if each.model is model]
            frames |= zip(map(id, own), frames_of(model, queue[0], own, self._mattes), strict=True)
        answers: list[Reply] = [frames[id(edit)] if isinstance(edit, Edited) else edit for edit in edits]
        self.painted += sum(isinstance(answer, Frame) for answer in answers)
        return answers

    def _edit(self, queued: Queued) -> Edited:
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
        return Edited(model, request, opened.anchor, edit, started - queued.arrived, time.monotonic() - started)


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
