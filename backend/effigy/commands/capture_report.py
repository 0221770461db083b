# SPDX-License-Identifier: Apache-2.0
"""Reports the progress of a capture: as notes for people, or for another program as a JSON object on each line.

    {"camera": {"name": "HD Webcam", "left_out": []}}                once it is open, and its light on; or "film"
    {"reading": {"done": 12, "total": 300}}                          pictures; a total of 0: nobody knows
    {"seen": {"width": 160, "height": 120, "rgb": "…", "points": [[0.41, 0.38], …]}}      a small picture, in base64
    {"said": "no face is seen"}
    {"written": {"path": "take.csv", "moments": 290, "missing": 10, "faces": 1, "left_out": []}}

It ends when its input ends: that is how the other program stops it, or has ended itself.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from ..capture import Pixels, Source
from ..landmarks.photo import Face
from .capture import Audience, Take

_SMALL = 160  # pixels of a side of the picture that is shown
_LIVE_S, _FILM_S = 0.125, 0.5  # between two of them
_READING_S = 0.2


class Terminal(Audience):
    """Tells people in the terminal."""

    def __init__(self, note: Callable[[str], None], progress: Callable[[str, int, int], None] | None) -> None:
        """``progress`` draws how much of a stage is done, if that is wanted."""
        self._note, self._progress = note, progress

    def begun(self, source: Source, left_out: tuple[str, ...]) -> None:
        if left_out:
            self._note(f"photographs do not show {', '.join(left_out)} reliably: their shapes are as scored")

    def read(self, done: int, total: int, picture: Pixels, face: Face | None) -> None:
        if self._progress is not None:
            self._progress("read", done, total or done)

    def said(self, text: str) -> None:
        self._note(text)

    def written(self, take: Take, out: Path, left_out: tuple[str, ...]) -> None:
        if take.problem:
            self._note(f"{take.problem} What was read until then is kept")
        if take.faces > 1:
            self._note(f"up to {take.faces} faces are seen: one is followed, the largest; --face takes another")
        gaps = f", {take.missing} without a face are gaps" if take.missing else ""
        print(f"{out}: {len(take.times)} moments{gaps}")


class Report(Audience):
    """Writes the lines of JSON."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._is_left = False  # nobody reads the lines any more
        self._every = _LIVE_S
        self._seen = self._reading = -1e9  # when it was told last

    def begun(self, source: Source, left_out: tuple[str, ...]) -> None:
        self._every = _LIVE_S if source.is_live else _FILM_S
        self._tell("camera" if source.is_live else "film", {"name": source.name, "left_out": left_out})

    def read(self, done: int, total: int, picture: Pixels, face: Face | None) -> None:
        now = time.monotonic()
        if now - self._reading >= _READING_S or done == total:
            self._reading = now
            self._tell("reading", {"done": done, "total": total})
        if now - self._seen >= self._every:
            self._seen = now
            self._tell("seen", _small(picture, face))

    def said(self, text: str) -> None:
        self._tell("said", text)

    def written(self, take: Take, out: Path, left_out: tuple[str, ...]) -> None:
        about = {"moments": len(take.times), "missing": take.missing, "faces": take.faces, "left_out": left_out}
        if take.problem:
            self.said(take.problem)
        self._tell("written", {"path": str(out), **about})

    def until_left(self, source: Source, told: IO[str]) -> Source:
        """Passes on ``source``, until nobody reads the lines any more, or ``told``, the standard input, ends."""
        threading.Thread(target=self._wait, args=(told,), name="effigy-input", daemon=True).start()

        def pictures() -> Iterator[tuple[float, Pixels]]:
            try:
                for found in source.pictures:
                    if self._is_left:
                        return
                    yield found
            finally:
                source.pictures.close()  # type: ignore[attr-defined]

        return replace(source, pictures=pictures())

    def _wait(self, told: IO[str]) -> None:
        while told.read(1024):
            pass
        self._is_left = True

    def _tell(self, kind: str, what: Any) -> None:
        try:
            self._out.write(json.dumps({kind: what}) + "\n")
            self._out.flush()
        except OSError:
            self._is_left = True


def _small(picture: Pixels, face: Face | None) -> dict[str, Any]:
    image = Image.fromarray(picture)
    image.thumbnail((_SMALL, _SMALL), Image.Resampling.BOX)
    height, width, _ = picture.shape
    points = [] if face is None else np.round(face.points[:, :2] / (width, height), 4).tolist()
    rgb = base64.b64encode(image.tobytes()).decode()
    return {"width": image.width, "height": image.height, "rgb": rgb, "points": points}
