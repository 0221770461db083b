# SPDX-License-Identifier: Apache-2.0
"""Mattes and surfaces of moving previews, which wait for neither: each uses the newest ones of its stream."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import structlog
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ..faces.mattes import head_alpha
from ..faces.pictures import Pictures
from ..landmarks import DetectorError
from ..matting.spread import Plane
from ..relighting import Relief, relief

log = structlog.get_logger()

MOST = 64  # streams of all clients whose mattes and surfaces are kept
_BYTES = 1 << 27  # of all of them together
_Stream = tuple[bytes, int]  # a client, and what it calls a face


@dataclass(frozen=True, slots=True)
class _Known:
    """What was found in one preview: alpha [H, W] of 255, and the surface where it was asked for."""

    matte: NDArray[np.uint8]
    relief: Relief | None = None

    @property
    def size(self) -> int:
        surface = (self.relief.normal, self.relief.height) if self.relief is not None else ()
        return self.matte.nbytes + sum(plane.nbytes for plane in surface)


class LiveMattes:
    """The newest matte, and surface, of each preview stream. Only finding them runs on a helper thread; all else on the
    worker thread.
    """

    def __init__(self) -> None:
        self._helper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="effigy-matte")
        self._known: OrderedDict[_Stream, _Known] = OrderedDict()
        self._lock = threading.Lock()
        self._at_work: Future[None] | None = None

    def dress(self, client: bytes, stream: int, pictures: Pictures) -> Pictures:
        """Adds to a preview [1, …] the matte of one of the last pictures of its stream, and, where it comes with
        landmarks, their surface.

        The first preview of a stream waits for its own, so that no opaque square flashes up. Raises DetectorError.
        """
        key = client, stream
        known = self._newest(key)
        if known is None or (pictures.seen is not None and known.relief is None):
            known = _finder(pictures)()
            self._keep(key, known)
        elif self._at_work is None or self._at_work.done():
            self._at_work = self._helper.submit(self._renew, key, _finder(pictures))
        shape = pictures.images.shape[2:]
        matte = None if pictures.has_alpha else _resized(known.matte[..., None].astype(np.float32) / 255, shape)[..., 0]
        surface = _surface(known.relief, shape) if pictures.seen is not None else None
        return replace(pictures, matte=matte, relief=surface, is_exact=False)

    def forget(self, client: bytes) -> None:
        """Forgets a client that has left."""
        with self._lock:
            for key in [key for key in self._known if key[0] == client]:
                del self._known[key]

    def close(self) -> None:
        """Ends the helper thread after its present work."""
        self._helper.shutdown(cancel_futures=True)

    def _newest(self, key: _Stream) -> _Known | None:
        with self._lock:
            if key not in self._known:
                return None
            self._known.move_to_end(key)
            return self._known[key]

    def _renew(self, key: _Stream, find: Callable[[], _Known]) -> None:
        """Finds the matte, and keeps it; runs on the helper's thread."""
        try:
            self._keep(key, find(), again=True)
        except DetectorError:
            pass  # which the first picture's answer told
        except Exception:
            log.exception("a preview keeps an old matte")  # nobody asks the helper's future

    def _keep(self, key: _Stream, known: _Known, *, again: bool = False) -> None:
        with self._lock:
            if again and key not in self._known:  # its client has left meanwhile
                return
            self._known[key] = known
            self._known.move_to_end(key)
            while len(self._known) > 1 and (
                len(self._known) > MOST or sum(each.size for each in self._known.values()) > _BYTES
            ):
                self._known.popitem(last=False)


def _finder(pictures: Pictures) -> Callable[[], _Known]:
    """Returns a function that finds matte and surface of a preview. It may run on any thread: it holds copies of its
    inputs.
    """
    painted = pictures.opacity()[0] if pictures.has_alpha else None
    points = pictures.seen.visible() if pictures.seen is not None else None
    return partial(_find, pictures.colours()[0], painted, points)


def _find(colours: Plane, painted: Plane | None, points: Plane | None) -> _Known:
    matte = head_alpha(colours) if painted is None else painted
    return _Known(np.rint(255 * matte).astype(np.uint8), relief(points, matte) if points is not None else None)


def _surface(known: Relief | None, shape: tuple[int, ...]) -> Relief | None:
    if known is None or known.height.shape == shape:
        return known
    return Relief(_resized(known.normal, shape), _resized(known.height[..., None], shape)[..., 0])


def _resized(plane: Plane, shape: tuple[int, ...]) -> Plane:
    """Resizes [h, w, C] to [H, W, C], because a preview may have half the size of the one before."""
    if plane.shape[:2] == shape:
        return plane
    small = torch.from_numpy(plane).permute(2, 0, 1)[None]
    large = F.interpolate(small, shape, mode="bilinear", align_corners=False, antialias=True)
    resized: Plane = large[0].permute(1, 2, 0).numpy()
    return resized
