# SPDX-License-Identifier: Apache-2.0
"""Where moving pictures come from: films and cameras, both through the FFmpeg that imageio-ffmpeg brings.

It reads every film, and cameras on Linux, macOS and Windows, without another library. Pictures come over a pipe.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..files import file_problem

_WIDEST = 1280  # pixels: a film's pictures are made no wider, since faces are read at 256
_LARGEST = 64 << 20  # bytes of a picture
_CAMERAS = 64  # no computer has so many
_FILES_ALONE = ("-protocol_whitelist", "file,crypto,data")
_PROBE_S = 30.0  # for FFmpeg to say what a film is, or to end
_PATIENCE_S = 10.0  # for a camera's next picture
_USUAL_RATE = 30.0  # pictures a second, where a film does not say
_FASTEST = 240.0


class SourceError(Exception):
    """A film or camera that cannot be read; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """Pictures [H, W, 3] uint8, one after the other, each with the second at which it is shown."""

    name: str
    rate: float  # pictures a second
    count: int  # of pictures, about; 0 where nobody knows
    pictures: Iterator[tuple[float, NDArray[np.uint8]]]  # close it when done


def open_film(path: Path, rate: float | None = None) -> Source:
    """The film in a file, at its own rate or at another. Raises SourceError, then and while it is read."""
    if problem := file_problem(path, "film"):
        raise SourceError(problem)
    if rate is not None and not 0 < rate <= _FASTEST:
        raise SourceError(f"{rate} pictures a second cannot be: give from 1 to {_FASTEST:.0f}")
    own, seconds = _rate_and_length(path)
    chosen = rate or own
    # A playlist must not lead to other files or into the network.
    frames = _Frames([*_FILES_ALONE, "-i", f"file:{path}", "-fps_mode", "cfr", "-r", f"{chosen:g}"])
    return Source(path.name, chosen, round(seconds * chosen), _film_pictures(path, chosen, frames))


def open_camera(number: int = 0, rate: float | None = None) -> Source:
    """Camera ``number`` of this computer, of which the newest picture is always the next. Raises SourceError."""
    if not 0 <= number < _CAMERAS:
        raise SourceError(f"there is no camera {number}: cameras are numbered from 0")
    asked = _USUAL_RATE if rate is None else rate
    place, options = _camera(number, asked)
    return Source(f"camera {number}", asked, 0, _camera_pictures(f"camera {number}", _Frames([*options, "-i", place])))


class _Frames:
    """The pictures that FFmpeg makes of its input: [H, W, 3] uint8, until there are no more."""

    def __init__(self, arguments: list[str]) -> None:
        """``arguments``: what FFmpeg reads, and how."""
        scale = f"scale=w='min({_WIDEST},iw)':h=-2"
        command = [_ffmpeg(), "-nostdin", "-loglevel", "quiet", *arguments, "-an", "-sn", "-vf", scale]
        # PPM says of each picture how large it is.
        command += ["-f", "image2pipe", "-c:v", "ppm", "-"]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)  # noqa: S603

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        out = self._process.stdout
        assert out is not None
        while out.readline(8) == b"P6\n":
            width, height = (int(size) for size in out.readline(32).split())
            depth, size = out.readline(8), width * height * 3
            if depth != b"255\n" or not 0 < size <= _LARGEST:
                return
            data = out.read(size)
            if len(data) < size:
                return
            yield np.frombuffer(bytearray(data), np.uint8).reshape(height, width, 3)

    def finish(self) -> None:
        """Waits until FFmpeg, whose last picture was read, is gone."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_PROBE_S)

    def close(self) -> bool:
        """Ends FFmpeg; whether it had come to the end by itself, without an error."""
        ended = self._process.poll()
        if ended is None:
            self._process.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.wait()
        return ended == 0


def _ffmpeg() -> str:
    try:
        import imageio_ffmpeg
    except ImportError:
        raise SourceError("films and cameras need imageio-ffmpeg: pip install imageio-ffmpeg") from None
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise SourceError(f"imageio-ffmpeg has no FFmpeg for this system ({str(error)[:100]})") from None


def _rate_and_length(path: Path) -> tuple[float, float]:
    """Pictures a second of a film, and its seconds, 0 where it does not say. Raises SourceError."""
    command = [_ffmpeg(), "-hide_banner", "-nostdin", *_FILES_ALONE, "-i", f"file:{path}"]
    try:
        said = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, errors="replace", timeout=_PROBE_S, check=False
        ).stderr
    except subprocess.TimeoutExpired:
        said = ""
    if not re.search(r"Stream #.*: Video: ", said):
        raise SourceError(f"{path} is no film that can be read, or is damaged")
    rate = re.search(r" Video: .*?([\d.]+) fps", said)
    length = re.search(r"Duration: (\d+):(\d+):([\d.]+)", said)
    found = float(rate[1]) if rate else 0.0
    seconds = 3600 * int(length[1]) + 60 * int(length[2]) + float(length[3]) if length else 0.0
    return found if 0 < found <= _FASTEST else _USUAL_RATE, seconds


def _film_pictures(path: Path, rate: float, frames: _Frames) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    number, ended = 0, True
    try:
        for picture in frames:
            yield number / rate, picture
            number += 1
        frames.finish()
    finally:
        ended = frames.close()
    if not number:
        raise SourceError(f"{path} is no film that can be read, or is damaged")
    if not ended:
        raise SourceError(f"{path} is damaged after {number / rate:.1f} seconds")


def _camera_pictures(name: str, frames: _Frames) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    newest, seen = _Newest(frames), False
    try:
        while (found := newest.wait(_PATIENCE_S)) is not None:
            seen = True
            yield found
    finally:
        frames.close()
    if seen:
        raise SourceError(f"{name} gives no more pictures: was it unplugged, or did another program take it?")
    raise SourceError(
        f"{name} gives no picture: is it plugged in, used by no other program, and are cameras allowed here?"
    )


class _Newest:
    """Takes pictures in a thread of its own, and keeps the last: whoever is slow misses some."""

    def __init__(self, pictures: Iterable[NDArray[np.uint8]]) -> None:
        self._began = time.monotonic()
        self._changed = threading.Condition()
        self._waiting: tuple[float, NDArray[np.uint8]] | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run, args=(pictures,), daemon=True)
        self._thread.start()

    def _run(self, pictures: Iterable[NDArray[np.uint8]]) -> None:
        with suppress(ValueError, OSError):  # of a pipe that was closed
            for picture in pictures:
                with self._changed:
                    self._waiting = time.monotonic() - self._began, picture
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait(self, patience: float) -> tuple[float, NDArray[np.uint8]] | None:
        """When the newest picture came, and the picture; None where there is none any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is not None or self._ended, patience)
            found, self._waiting = self._waiting, None
        return found


def _camera(number: int, rate: float) -> tuple[str, list[str]]:
    """What FFmpeg calls a camera on this system, and how it is opened."""
    if sys.platform == "win32":
        names = _windows_cameras()
        if number >= len(names):
            raise SourceError(
                f"there is no camera {number}: " + (f"there are {len(names)}" if names else "plug one in")
            )
        return f"video={names[number]}", ["-f", "dshow", "-rtbufsize", "64M"]
    if sys.platform == "darwin":
        return str(number), ["-f", "avfoundation", "-framerate", f"{rate:g}"]
    place = Path(f"/dev/video{number}")
    if not place.exists():
        here = ", ".join(sorted(p.name.removeprefix("video") for p in Path("/dev").glob("video*")))
        raise SourceError(f"there is no camera {number}: " + (f"there are {here}" if here else "plug one in"))
    return str(place), ["-f", "v4l2", "-framerate", f"{rate:g}"]


def _windows_cameras() -> list[str]:
    """Their names, in the order of the system."""
    command = [_ffmpeg(), "-hide_banner", "-list_devices", "true", "-f", "dshow", "-i", "dummy"]
    said = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, errors="replace", timeout=_PROBE_S, check=False
    ).stderr
    return re.findall(r'"([^"]+)" \(video\)', said)
