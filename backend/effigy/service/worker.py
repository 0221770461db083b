# SPDX-License-Identifier: Apache-2.0
"""The worker: the one thread that owns the model and paints."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
import torch
import zmq
from numpy.typing import NDArray

from effigy_protocol.messages import (
    SEEDS,
    Buffer,
    Done,
    Error,
    Frame,
    FromLatent,
    FromSeed,
    Identity,
    Mix,
    OpenIdentity,
    Phase,
    ReadPicture,
    Release,
    Reply,
    Synthesize,
    Timings,
    Welcome,
)
from effigy_protocol.record import Record

from ..faces import BundleError, Edit, FaceModel, LatentError
from ..faces import Identity as Anchor
from ..faces.pictures import Pictures
from ..faces.shipped import FaceModels
from ..faces.welcome import encode_floats, encode_halves, welcome
from .answers import answer
from .encode import encode_picture
from .exr import exr
from .identities import Identities, Opened
from .jobs import Jobs, Steps
from .live_mattes import LiveMattes
from .readings import PictureReadings
from .refusals import RefusedError, guarded
from .scheduler import Forget, Job, Scheduler

log = structlog.get_logger()

_Change = OpenIdentity | ReadPicture | Release  # done in order, beside the painting of pictures


class Worker(threading.Thread):
    """Loads the model, then does the scheduler's jobs; replies go to the I/O thread over an inproc socket."""

    def __init__(
        self,
        load: Callable[[], FaceModel],
        scheduler: Scheduler,
        context: zmq.Context[zmq.Socket[bytes]],
        outbox: str,
    ) -> None:
        super().__init__(name="effigy-worker", daemon=True)
        self._load = load
        self._scheduler = scheduler
        self._context = context
        self._outbox = outbox
        self._identities = Identities()
        self._readings = PictureReadings()
        self._mattes = LiveMattes()
        self.jobs = Jobs()
        # Read by the I/O thread; each is assigned whole.
        self.phase: Phase = "loading"
        self.detail = "the model is loading"
        self.welcome: Welcome | None = None
        self.painted = 0

    @property
    def identities(self) -> int:
        return len(self._identities)

    def run(self) -> None:
        replies = self._context.socket(zmq.PUSH)
        replies.set_hwm(0)  # no reply is ever dropped
        replies.connect(self._outbox)
        models: FaceModels | None = None
        try:
            models = FaceModels(self._load())
            model = models.served
            self.welcome = welcome(model, models.others)
            self.detail, self.phase = model.name, "ready"
            log.info("model ready", model=model.model_id, name=model.name, device=str(model.generator.device))
            self._work(models, replies)
        except BundleError as error:
            self._fail(str(error))
        except Exception as error:
            log.exception("worker failed")
            self._fail(f"{type(error).__name__}: {error}")
        finally:
            if models is not None:
                models.close()
            self._mattes.close()
            replies.close()

    def _fail(self, why: str) -> None:
        log.error("the worker ended", error=why)
        self.detail, self.phase = why, "failed"

    def _work(self, models: FaceModels, replies: zmq.Socket[bytes]) -> None:
        while not self._scheduler.is_closed:
            # Long work goes on while nothing else waits, and by a step after everything else that is done.
            if (job := self._scheduler.take(wait=not len(self.jobs))) is not None:
                self._do(job, models, replies)
            self.jobs.step()
        self.jobs.close()
        self._readings.close()

    def _do(self, job: Job, models: FaceModels, replies: zmq.Socket[bytes]) -> None:
        match job.request:
            case Forget():
                self._identities.forget(job.client)
                self.jobs.forget(job.client)
                self._mattes.forget(job.client)
                return
            case Synthesize(purpose=purpose, encoding=encoding):
                most = models.served.final_batch - 1 if purpose == "final" else 0
                jobs = [job, *self._scheduler.take_finals(encoding, most)]
                answers = self._synthesize(jobs)
            case request:
                work = partial(self._begun, models, job.client, request, job.size)
                jobs, answers = [job], [guarded(type(request).__name__, work)]
        for answered, reply in zip(jobs, answers, strict=True):
            replies.send_multipart([answered.client, *answer(answered.id, reply)], copy=False)

    def _begun(self, models: FaceModels, client: bytes, request: _Change, size: int) -> Reply:
        """The reply to a request of ``size`` bytes that is done at once, or to one that began long work."""
        done = self._change(models, client, request)
        return self.jobs.begin(client, done, size) if isinstance(done, Generator) else done

    def _change(self, models: FaceModels, client: bytes, request: _Change) -> Reply | Steps:
        match request:
            case Release(identity):
                return Done(int(self._identities.release(client, identity)))
            case ReadPicture(identity=identity):
                if identity is None:
                    return self._readings.begin(models.served, request, None)
                opened = self._opened(client, identity)
                return self._readings.begin(opened.model, request, opened.model.own_expression(opened.anchor))
            case OpenIdentity():
                return self._open(models, client, request)

    def _opened(self, client: bytes, identity: str) -> Opened:
        """Raises RefusedError where it is not open."""
        opened = self._identities.get(client, identity)
        if opened is None:
            raise RefusedError(
                "unknown-identity",
                f"identity {identity!r} is not open here",
                "open it again with its latent; a restarted backend has forgotten it",
            )
        return opened

    def _open(self, models: FaceModels, client: bytes, request: OpenIdentity) -> Identity:
        model = models.served
        seed: int | None = None
        try:
            match request.source:
                case FromSeed(first, truncation, seeds, known):
                    model = _model_of(known, models)
                    seed = first if seeds == 1 else model.calmest(first, min(seeds, SEEDS - first), truncation)
                    anchor = model.open_seed(seed, truncation)
                case FromLatent(latent, known):
                    model = _model_of(known, models)
                    anchor = model.open_latent(latent)
                case Mix(latent, other, share, known):
                    model = _model_of(known, models)
                    anchor = model.open_latent(latent, other, share)
        except LatentError as error:
            raise RefusedError("bad-field", str(error), "open another face, by its seed") from None
        self._identities.open(client, Opened(model, anchor))
        return Identity(anchor.key, model.model_id, anchor.latent, anchor.pose, encode_floats(anchor.rest), seed)

    def _synthesize(self, jobs: list[Job]) -> list[Reply]:
        """A preview, or finals in one encoding, painted together; each may be refused, or fail, by itself."""
        edits = [guarded(type(job.request).__name__, partial(self._edit, job)) for job in jobs]
        edited = [edit for edit in edits if isinstance(edit, _Edited)]
        frames: dict[int, Frame | Error] = {}
        for model in {id(each.model): each.model for each in edited}.values():
            own = [each for each in edited if each.model is model]
            frames |= zip(map(id, own), _frames(model, jobs[0], own, self._mattes), strict=True)
        answers: list[Reply] = [frames[id(edit)] if isinstance(edit, _Edited) else edit for edit in edits]
        self.painted += sum(isinstance(answer, Frame) for answer in answers)
        return answers

    def _edit(self, job: Job) -> _Edited:
        started, request = time.monotonic(), job.request
        assert isinstance(request, Synthesize)
        opened = self._opened(job.client, request.identity)
        model = opened.model
        if unknown := sorted(set(request.controls) - model.controls.keys()):
            raise RefusedError(
                "bad-field",
                f"this model has no control {', '.join(unknown)}",
                f"its controls are {', '.join(model.controls)}",
            )
        if request.purpose == "final" and request.encoding == "jpeg":
            raise RefusedError("bad-field", "a final picture is lossless, jpeg is not", "ask for rgba8 or png")
        if request.matte != "none" and request.encoding == "jpeg":
            raise RefusedError("bad-field", "a matte is an alpha, jpeg has none", "ask for rgba8 or png")
        edit = model.edit(opened.anchor, request.yaw, request.pitch, request.controls)
        return _Edited(model, request, opened.anchor, edit, started - job.arrived, time.monotonic() - started)


def _model_of(known: str | None, models: FaceModels) -> FaceModel:
    """The model that a latent came from, the served one where nobody says. Raises RefusedError."""
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
    """A request whose latent is found, and the seconds that it waited and took."""

    model: FaceModel
    request: Synthesize
    anchor: Anchor
    edit: Edit
    queue: float
    inverse: float


def _frames(model: FaceModel, job: Job, edited: list[_Edited], mattes: LiveMattes) -> Sequence[Frame | Error]:
    """The pictures of ``edited``. Where painting them together fails, for a job like ``job``, each is painted alone."""
    if not edited:
        return []
    frames = guarded(type(job.request).__name__, partial(_paint, model, job, edited, mattes))
    if not isinstance(frames, Error):
        return frames
    if len(edited) == 1:
        return [frames]
    return [
        frame for each in edited for frame in _frames(model, job, [each], mattes)
    ]  # the others' may be other clients'


def _paint(model: FaceModel, job: Job, edited: list[_Edited], mattes: LiveMattes) -> list[Frame]:
    """The pictures of several finals in one encoding, or of one preview."""
    started, request = time.monotonic(), edited[0].request
    ws = torch.stack([each.edit.ws for each in edited])
    is_final = request.purpose == "final" or request.encoding in ("png16", "exr")
    pictures = model.finals(ws) if is_final else model.preview(ws[0], half=request.half)
    if not is_final and pictures.waits_for_network(request.passes, request.matte):
        pictures = mattes.dress(job.client, request.stream, pictures)
    synthesis = (time.monotonic() - started) / len(edited)
    return [_frame(each, pictures.only(row), synthesis) for row, each in enumerate(edited)]


def _frame(edited: _Edited, pictures: Pictures, synthesis: float) -> Frame:
    """The one picture, in the form that is asked for."""
    request, edit, started = edited.request, edited.edit, time.monotonic()
    model, passes = edited.model, {}
    pictures = model.prepared(pictures, edit.ws, request.passes, request.matte)
    light = model.light(edited.anchor) if "albedo" in request.passes else None
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
    """What the picture is made from, as its client would say it."""
    request, controls = edited.request, tuple(edited.request.controls.items())
    metres = request.unit, request.distance
    return Record.of(
        edited.model.model_id, bytes(edited.anchor.latent), request.yaw, request.pitch, controls,
        request.encoding, request.matte, request.passes, metres,
    )  # fmt: skip
