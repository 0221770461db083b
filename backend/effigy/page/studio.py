# SPDX-License-Identifier: Apache-2.0
"""The model behind the page, which answers one request of the page at a time."""

from __future__ import annotations

import base64
import secrets
import threading
import time
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effigy_protocol.messages import MatteName, PassName

from .. import api
from ..editing import InverseOptions
from ..faces import FaceModel, Identity
from ..faces.calm import calmest
from ..generators import PictureError
from ..landmarks import Detector, DetectorError
from ..landmarks.photo import PhotoReader
from ..painting import Format, PaintingError, Shot, paint_shots
from ..service.encode import png
from .view import HEAD, PageView

_PEOPLE = 64  # that stay open
_CALM = 8  # seeds, of which chance takes the calmest: as Add Face does in Blender


class Studio:
    """A face model, the detector that reads its pictures, and a lock, because neither may be used by two threads.

    If ``detector`` is None, or finds other landmarks than the model's, pictures are not read.
    """

    def __init__(self, folder: Path, model: FaceModel, detector: Detector | None) -> None:
        self.folder = folder
        self.model = model
        self.detector = detector if detector is not None and detector.topology == model.topology.name else None
        self.lock = threading.RLock()
        self._reader: PhotoReader | None = None
        self.person = lru_cache(maxsize=_PEOPLE)(self._person)

    @property
    def reader(self) -> PhotoReader:
        """What finds faces in photographs; loaded when first asked for. Raises DetectorError."""
        with self.lock:
            if self._reader is None:
                self._reader = PhotoReader(self.model.generator.device)
            return self._reader

    def _person(self, seed: int, truncation: float) -> Identity:
        with self.lock:
            return api.person(seed, truncation=truncation, model=self.model)

    def look(self, sent: object) -> dict[str, Any]:
        """Paints the picture that a browser asks for, or returns why that is impossible: see ``static/studio.js``.

        ``src`` holds the same PNG file that Blender bakes, so that the browser's Save writes that.
        """
        try:
            asked = PageView.read(self.model, sent)
            with self.lock:
                return self._look(asked)
        except (DetectorError, PaintingError, PictureError) as error:
            return {"problem": str(error)}

    def _look(self, asked: PageView) -> dict[str, Any]:
        started = time.perf_counter()
        person = self.person(asked.seed, asked.truncation)
        yaw, pitch = asked.moment.turn(person.pose)
        if (name := asked.pass_name) is None:
            matte: MatteName = "head" if asked.show == HEAD else "none"
            painted = next(paint_shots(self.model, [Shot(person, asked.moment)], Format(matte=matte)))
            file, clamped = painted.file(), painted.clamped
        else:
            file, clamped = self._pass(person, yaw, pitch, asked, name)
        return {
            "src": as_source(file, "image/png"),
            "words": asked.words(yaw, pitch),
            "yaw": yaw,
            "pitch": pitch,
            "clamped": list(clamped),
            "file": f"seed-{asked.seed}-yaw{yaw:+.0f}-pitch{pitch:+.0f}-{asked.show}.png",
            "milliseconds": round(1e3 * (time.perf_counter() - started)),
        }

    def _pass(
        self, person: Identity, yaw: float, pitch: float, asked: PageView, name: PassName
    ) -> tuple[bytes, tuple[str, ...]]:
        """Returns a pass as a visible picture, and the parameters that exceeded the data's range."""
        edit = self.model.edit(person, yaw, pitch, asked.moment.controls, InverseOptions(keep=asked.moment.keep))
        pictures = replace(self.model.finals(edit.ws[None]), seen=self.model.see(edit.ws)).matted()
        values = pictures.passes((name,))[name].astype(np.float32)
        return png(visible(values)), edit.clamped

    def chance(self, sent: object) -> int:
        """Draws a random seed whose person neither laughs nor winks."""
        truncation = PageView.read(self.model, sent).truncation
        with self.lock:
            return calmest(self.model, secrets.randbelow(1_000_000), _CALM, truncation)


def visible(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Shows a pass [H, W, 1 or 3] as a picture [H, W, 3]: normals from −1 … 1, depth from its least to its largest."""
    low, high = (-1.0, 1.0) if values.shape[2] == 3 else (float(values.min()), float(values.max()))
    scaled = np.rint(255 * (values - low) / max(high - low, 1e-6)).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(scaled, (*values.shape[:2], 3)))


def as_source(file: bytes, kind: str) -> str:
    """Returns a file as a data URL, for the src of an <img>."""
    return f"data:{kind};base64,{base64.b64encode(file).decode('ascii')}"
