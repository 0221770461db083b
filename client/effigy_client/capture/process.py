# SPDX-License-Identifier: Apache-2.0
"""A film, or a camera of this computer, read by a process of its own: ``effigy capture --report``.

It prints a JSON object a line. What is read in a film becomes a recording (CSV); what a camera sees is sent on, as the
Live Link Face app sends it, to a port of this computer. Pictures stay in memory, and only the newest.
"""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..provision import last_words, spawn, split_command

_LINE = 1 << 20  # bytes: a small picture is a tenth of it
_LARGEST = 640  # pixels of its width and height
_KEPT = 50  # lines of what it prints for people
_END_S = 2.0  # to leave when asked; then it is killed


@dataclass(frozen=True, slots=True)
class Seen:
    """What the camera sees, small, and where points of the face are found in it."""

    picture: NDArray[np.uint8]  # [H, W, 3], top row first
    points: NDArray[np.float64]  # [N, 2] from 0 to 1, x right, y down; none where no face is seen


@dataclass(frozen=True, slots=True)
class Written:
    """The recording of a film that was read."""

    moments: int
    missing: int  # pictures without a face
    faces: int  # the most that were seen at once


class CaptureProcess:
    """One film or camera that is read. Whoever began it asks for its state now and then, and ends it."""

    def __init__(
        self,
        command: str,
        source: str,  # a film's file, or a camera's number
        *,
        model: str = "",  # the face model's bundle; empty: the default
        out: Path | None = None,  # where the recording goes
        port: int | None = None,  # or where packets go, on this computer
        face: int = 1,  # which is followed, the largest being 1
        neutral: str = "median",  # where the person is at rest; or "none", or a picture's number
    ) -> None:
        """Starts it; returns at once. Raises BackendError where there is no such command."""
        arguments = [*split_command(command), "capture", source, "--report"]
        arguments += ["--face", str(face), "--neutral", neutral]
        if model:
            arguments += ["--model", model]
        if out is not None:
            arguments += ["--out", str(out)]
        if port is not None:
            arguments += ["--to", f"127.0.0.1:{port}"]
        self.name = ""  # of what is read, once it is open
        self.is_camera = False  # whether that is a camera, whose light is on
        self.done, self.total = 0, 0  # pictures of a film
        self.said = ""  # the last it had to say
        self.left_out: tuple[str, ...] = ()  # controls of which pictures tell too little
        self.seen: Seen | None = None  # the newest
        self.written: Written | None = None
        self._printed: deque[str] = deque(maxlen=_KEPT)
        self._asked_to_end = False
        self._process = spawn(arguments)
        self._threads = [
            threading.Thread(target=self._hear, args=(self._process.stdout,), name="effigy-capture", daemon=True),
            threading.Thread(
                target=self._keep, args=(self._process.stderr,), name="effigy-capture-errors", daemon=True
            ),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether more is to come: it runs, or what it said last is not heard yet."""
        return self._process.poll() is None or any(thread.is_alive() for thread in self._threads)

    @property
    def problem(self) -> str:
        """Why it ended by itself, for people; "" where it runs, came to its end, or was asked to end."""
        if self.is_running or self._asked_to_end or self._process.returncode == 0:
            return ""
        return last_words(list(self._printed)) or f"the capture ended with code {self._process.returncode}"

    def end(self) -> None:
        """It is wanted no more: nothing is written, and a camera's light goes off. Returns within moments."""
        self._asked_to_end = True
        with contextlib.suppress(OSError):
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(_END_S)
        self.seen = None

    def wait(self, seconds: float) -> None:
        """For scripts and tests: until it has ended, at most so long."""
        for thread in self._threads:
            thread.join(seconds)
        self._process.wait(seconds)

    # --- the threads -----------------------------------------------------------------------------

    def _hear(self, stream: IO[bytes]) -> None:
        with stream:
            while line := stream.readline(_LINE):
                with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):  # of another version
                    for kind, told in json.loads(line).items():
                        self._told(kind, told)
        if self._process.stdin is not None:  # open until now, since one whose input ends leaves
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def _told(self, kind: str, told: Any) -> None:
        """One of the lines; raises ValueError, KeyError, TypeError or AttributeError for what is none."""
        if kind in ("camera", "film"):
            self.left_out = tuple(map(str, told.get("left_out", ())))
            self.name, self.is_camera = str(told["name"]), kind == "camera"
        elif kind == "reading":
            self.done, self.total = int(told["done"]), int(told["total"])
        elif kind == "said":
            self.said = str(told)
        elif kind == "seen":
            self.seen = _seen(told)
        elif kind == "written":
            self.left_out = tuple(map(str, told["left_out"]))
            self.written = Written(int(told["moments"]), int(told["missing"]), int(told["faces"]))

    def _keep(self, stream: IO[bytes]) -> None:
        with stream:
            while line := stream.readline(_LINE):
                self._printed.append(line.decode("utf-8", "replace"))


def _seen(told: dict[str, Any]) -> Seen:
    height, width = int(told["height"]), int(told["width"])
    if not (0 < height <= _LARGEST and 0 < width <= _LARGEST):
        raise ValueError
    picture = np.frombuffer(base64.b64decode(told["rgb"], validate=True), np.uint8).reshape(height, width, 3)
    points = np.array(told["points"] or np.zeros((0, 2)), np.float64).reshape(-1, 2)
    return Seen(picture, points[np.isfinite(points).all(axis=1)])
