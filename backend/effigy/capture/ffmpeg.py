# SPDX-License-Identifier: Apache-2.0
"""The FFmpeg that imageio-ffmpeg brings."""

from __future__ import annotations


class SourceError(Exception):
    """A film or camera that cannot be read; the message says why, and what to do."""


def ffmpeg() -> str:
    """Returns the path of imageio-ffmpeg's FFmpeg. Raises SourceError."""
    try:
        import imageio_ffmpeg
    except ImportError:
        raise SourceError("films and cameras need imageio-ffmpeg: pip install imageio-ffmpeg") from None
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise SourceError(f"imageio-ffmpeg has no FFmpeg for this system ({str(error)[:100]})") from None
