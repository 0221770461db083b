# SPDX-License-Identifier: Apache-2.0
"""Reads a film, or a camera of this computer, in a process of its own: ``effigy capture --report``.

The process prints a JSON object on each line. A film gives a recording (CSV). A camera's face is sent to a port of this
computer, as the Live Link Face app would send it. Of the pictures only the newest is kept, in memory.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..provision import end_process, last_words, spawn, split_command

_LINE = 1 << 20  # bytes of a line, of which a small picture needs a tenth
_LARGEST = 640  # pixels of a picture's width and height
_KEPT = 50  # lines of its error output
_END_S = 2.0  # to end when asked, before it is killed


@dataclass(frozen=True, slots=True)
class CameraPicture:
    """A small picture of the camera, and the points of the face that were found in it."""

    picture: NDArray[np.uint8]  # [H, W, 3], top row first
    points: NDArray[np.float64]  # [N, 2] in [0, 1], x right, y down; N is 0 where no face is seen


@dataclass(frozen=True, slots=True)
class Written:
    """What was read in a film."""

    moments: int
    missing: int  # pictures without a face
    faces: int  # the most that were seen in one picture


class CaptureProcess:
    """A process that reads one film or camera. Its owner polls its attributes, and ends it."""

    def __init__(
        self,
        command: str,
        source: str,  # a film's file, or a camera's number
        *,
        model: str = "",  # the face model's bundle; "": the default
        out: Path | None = None,  # the file of a film's recording
        port: int | None = None,  # of this computer, for a camera's packets
        face: int = 1,  # which face is followed; 1 is the largest
        neutral: str = "median",  # what counts as the person at rest: "median", "none", or a picture's number
    ) -> None:
        """Starts the process; returns at once. Raises BackendError if there is no such command."""
        arguments = [*split_command(command), "capture", source, "--report"]
        arguments += ["--face", str(face), "--neutral", neutral]
        if model:
            arguments += ["--model", model]
        if out is not None:
            arguments += ["--out", str(out)]
        if port is not None:
            arguments += ["--to", f"127.0.0.1:{port}"]
        self.name = ""  # of the film or camera, once it is open
        self.is_camera = False  # whether it is a camera
        self.done, self.total = 0, 0  # pictures of a film that were read, and all
        self.said = ""  # its last message for the user
        self.left_out: tuple[str, ...] = ()  # controls that cannot be read reliably
        self.seen: CameraPicture | None = None  # the newest picture
        self.written: Written | None = None
        self._printed: deque[str] = deque(maxlen=_KEPT)
        self._asked_to_end = False
        self._process = spawn(arguments)
        self._threads = [
            threading.Thread(target=self._read_lines, args=(self._process.stdout,), name="effigy-capture", daemon=True),
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
        """Whether more may come: it runs, or its last output is not read yet."""
        return self._process.poll() is None or any(thread.is_alive() for thread in self._threads)

    @property
    def problem(self) -> str:
        """Why it failed, for users; "" if it runs, is done, or was asked to end."""
        if self.is_running or self._asked_to_end or self._process.returncode == 0:
            return ""
        return last_words(list(self._printed)) or f"the capture ended with code {self._process.returncode}"

    def end(self) -> None:
        """Ends the process within seconds; nothing is written, and a camera is switched off."""
        self._asked_to_end = True
        end_process(self._process, _END_S)
        for thread in self._threads:
            thread.join(_END_S)
        self.seen = None

    def wait(self, seconds: float) -> None:
        """Waits until it has ended, at most ``seconds``; for scripts and tests."""
        for thread in self._threads:
            thread.join(seconds)
        self._process.wait(seconds)

    # --- the threads -----------------------------------------------------------------------------

    def _read_lines(self, stream: IO[bytes]) -> None:
        with stream:
            while line := stream.readline(_LINE):
                with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):  # from another version
                    for kind, value in json.loads(line).items():
                        self._receive(kind, value)
        if self._process.stdin is not None:  # kept open until now, because the process ends when its input does
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def _receive(self, kind: str, value: Any) -> None:
        """Stores the value of one line. Raises ValueError, KeyError, TypeError or AttributeError for unknown ones."""
        if kind in ("camera", "film"):
            self.left_out = tuple(map(str, value.get("left_out", ())))
            self.name, self.is_camera = str(value["name"]), kind == "camera"
        elif kind == "reading":
            self.done, self.total = int(value["done"]), int(value["total"])
        elif kind == "said":
            self.said = str(value)
        elif kind == "seen":
            self.seen = _camera_picture(value)
        elif kind == "written":
            self.left_out = tuple(map(str, value["left_out"]))
            self.written = Written(int(value["moments"]), int(value["missing"]), int(value["faces"]))

    def _keep(self, stream: IO[bytes]) -> None:
        with stream:
            while line := stream.readline(_LINE):
                self._printed.append(line.decode("utf-8", "replace"))


def _camera_picture(value: dict[str, Any]) -> CameraPicture:
    height, width = int(value["height"]), int(value["width"])
    if not (0 < height <= _LARGEST and 0 < width <= _LARGEST):
        raise ValueError
    picture = np.frombuffer(base64.b64decode(value["rgb"], validate=True), np.uint8).reshape(height, width, 3)
    points = np.array(value["points"] or np.zeros((0, 2)), np.float64).reshape(-1, 2)
    return CameraPicture(picture, points[np.isfinite(points).all(axis=1)])
