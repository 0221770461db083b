# SPDX-License-Identifier: Apache-2.0
"""Makes people of pictures that clients send, step by step in a thread of its own, while the worker paints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from effigy_protocol.messages import FromPhoto, Reply

from ..faces import FaceModel, Identity, LatentError
from ..faces.picture_reading import NoFaceError
from ..generators import GeneratorFileError, PictureError
from ..landmarks import DetectorError
from ..landmarks.photo import PhotoReader
from ..people import Made, UnfitModelError, make_person, pixels_of
from ..people import Progress as Inverting
from ..people.making import Steps as Making
from ..people.making import encoder_of
from ..people.numbering import beside
from ..people.stages import Remembered
from ..picture_files import PictureFileError
from ..recognition import IdentityFileError, users_lpips
from ..threads import limited_threads
from .encode import png
from .jobs import Progress, Steps
from .lane import Lane
from .refusals import RefusedError, guarded

_SHOWN_EVERY = 4  # pictures: how it looks so far

Opening = Callable[[FaceModel, Identity], Reply]


@dataclass(frozen=True, slots=True)
class _Done:
    made: Made


class Portraits:
    """Makes people, one after the other. All but ``_step`` runs on the worker's thread."""

    def __init__(self) -> None:
        self._lane = Lane("effigy-people")  # one at a time: whoever is tuned takes a copy of the generator and more
        self._reader: PhotoReader | None = None
        self._found = Remembered()  # whoever was stopped, or is tuned now, is not searched for again

    def begin(self, model: FaceModel, request: FromPhoto, opened: Opening) -> Steps:
        """Begins to make a person; returns the steps, which end with the reply of ``opened``.

        Raises RefusedError for a model that cannot make people.
        """
        try:
            encoder_of(model)
        except UnfitModelError as error:
            raise RefusedError("failed", str(error), "then start the backend again") from None
        return self._lane.in_turn(self._steps(model, request, opened))

    def _steps(self, model: FaceModel, request: FromPhoto, opened: Opening) -> Steps:
        # A network gets ready when it first paints; while two threads paint, none may change it any more.
        model.finals(model.open_seed(0, truncation=0.0).ws[None])
        progress, shown, making = Progress(0.0, "cut out"), 0, self._making(model, request)
        while True:
            work = partial(guarded, "FromPhoto", partial(self._step, making, shown % _SHOWN_EVERY == 0))
            match (yield from self._lane.run(work, progress)):
                case Progress() as now:
                    shown += 1
                    progress = replace(now, preview=now.preview or progress.preview)
                case _Done(made):
                    return opened(model, made.identity)
                case error:
                    return error

    def _making(self, model: FaceModel, request: FromPhoto) -> Making:
        """Does nothing before its first step, which is the thread's."""
        if self._reader is None or self._reader.device != model.generator.device:
            self._reader = PhotoReader(model.generator.device)
        data, how, lpips = b"".join(request.picture), request.alignment, users_lpips(self._reader.device)
        return (
            yield from make_person(
                model, self._reader, data, request.face, how, tuned=request.tune, lpips=lpips, kept=self._found
            )
        )

    def _step(self, making: Making, show: bool) -> Progress | _Done:
        """Runs one step of the work. Raises RefusedError."""
        try:
            with limited_threads(1):  # the others are the worker's
                progress = next(making)
                return Progress(progress.share, progress.stage, _shown(progress) if show else None)
        except StopIteration as end:
            return _Done(end.value)
        except PictureFileError as error:
            raise RefusedError("bad-field", str(error), "choose another picture") from None
        except NoFaceError as error:
            raise RefusedError("no-face", str(error), "choose another picture, or another face") from None
        except (LatentError, PictureError, UnfitModelError) as error:
            raise RefusedError("failed", str(error), "choose another picture") from None
        except GeneratorFileError as error:
            raise RefusedError("failed", str(error), "restart the backend") from None
        except (DetectorError, IdentityFileError) as error:
            raise RefusedError("failed", str(error), "run: effigy doctor") from None

    def close(self) -> None:
        """Ends the thread after its present work, without waiting for that."""
        self._lane.close()


def _shown(progress: Inverting) -> bytes:
    """Returns the face that was cut out and the picture painted of it so far, side by side, as a PNG."""
    return png(beside(pixels_of(progress.wanted), pixels_of(progress.picture)))
