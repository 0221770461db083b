# SPDX-License-Identifier: Apache-2.0
"""People are made of pictures that clients give, step by step in a thread of their own, while the worker paints."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial

import torch

from effigy_protocol.messages import Buffer, Error, FromPhoto, Reply

from ..faces import FaceModel, Identity, LatentError
from ..faces.picture_reading import NoFaceError
from ..generators import GeneratorFileError, PictureError
from ..landmarks import DetectorError
from ..landmarks.photo import PhotoReader
from ..people import Made, UnfitModelError, make_person
from ..people.making import Steps as Making
from ..people.making import encoder_of
from ..picture_files import PictureFileError
from ..recognition import IdentityFileError
from ..threads import limited_threads
from .encode import png
from .jobs import Progress, Steps
from .refusals import RefusedError, guarded

_STEP_S = 0.005  # that a step of the worker's waits for the thread: others' requests wait for the step
_SHOWN_EVERY = 4  # pictures: how it looks so far

Opening = Callable[[FaceModel, Identity], Reply]


@dataclass(frozen=True, slots=True)
class _Done:
    made: Made


class Portraits:
    """The making of people, one after the other. All but ``_step`` runs in the worker's thread."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "effigy-people")
        self._is_busy = False  # one at a time: whoever is tuned takes a copy of the generator and more
        self._reader: PhotoReader | None = None

    def begin(self, model: FaceModel, request: FromPhoto, opened: Opening) -> Steps:
        """The work of one, which ends with what ``opened`` replies. Raises RefusedError for a model that makes none."""
        try:
            encoder_of(model)
        except UnfitModelError as error:
            raise RefusedError("failed", str(error), "then start the backend again") from None
        return self._steps(model, request, opened)

    def _steps(self, model: FaceModel, request: FromPhoto, opened: Opening) -> Steps:
        while self._is_busy:
            yield Progress(0.0, "waiting")
            time.sleep(_STEP_S)
        self._is_busy = True
        try:
            return (yield from self._making(model, request, opened))
        finally:  # also when its client left
            self._is_busy = False

    def _making(self, model: FaceModel, request: FromPhoto, opened: Opening) -> Steps:
        # A network gets ready when it first paints; while two threads paint, none may change it any more.
        model.finals(model.open_seed(0, truncation=0.0).ws[None])
        share, stage, preview = 0.0, "cut out", None
        given, making = [request], list[Making]()
        shown = 0
        while True:
            work = partial(guarded, "FromPhoto", partial(self._step, model, given, making, shown % _SHOWN_EVERY == 0))
            step: Future[Progress | _Done | Error] = self._pool.submit(work)
            try:
                while not step.done():
                    wait([step], _STEP_S)
                    yield Progress(share, stage, preview)
            finally:
                if step.cancel():  # its client left: the pool keeps what waits in it, but not a picture of 32 MiB
                    given.clear()
                    making.clear()
            match step.result():
                case Progress() as progress:
                    shown += 1
                    share, stage, preview = progress.share, progress.stage, progress.preview or preview
                case _Done(made):
                    return opened(model, made.identity)
                case error:
                    return error

    def _step(self, model: FaceModel, given: list[FromPhoto], making: list[Making], show: bool) -> Progress | _Done:
        """One picture's work. Raises RefusedError."""
        try:
            with limited_threads(1):  # the others are the worker's
                if self._reader is None or self._reader.device != model.generator.device:
                    self._reader = PhotoReader(model.generator.device)
                if not making:
                    request = given[0]
                    data, how = b"".join(request.picture), request.alignment
                    making.append(make_person(model, self._reader, data, request.face, how, tuned=request.tune))
                progress = next(making[0])
                return Progress(progress.share, progress.stage, _preview(progress.picture) if show else None)
        except StopIteration as end:
            return _Done(end.value)
        except PictureFileError as error:
            raise RefusedError("bad-field", str(error), "choose another picture") from None
        except NoFaceError as error:
            raise RefusedError("no-face", str(error), "choose another picture, or another face") from None
        except (GeneratorFileError, LatentError, PictureError, UnfitModelError) as error:
            raise RefusedError("failed", str(error), "choose another picture") from None
        except (DetectorError, IdentityFileError) as error:
            raise RefusedError("failed", str(error), "run: effigy doctor") from None

    def close(self) -> None:
        """Waits for nothing."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _preview(picture: torch.Tensor) -> Buffer:
    """A PNG of [1, 3, H, W] in [−1, 1]."""
    pixels = (picture[0].detach().clamp(-1, 1) * 127.5 + 127.5).round().byte()
    return png(pixels.permute(1, 2, 0).contiguous().cpu().numpy())
