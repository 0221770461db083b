# SPDX-License-Identifier: Apache-2.0
"""Mattes of moving previews, which do not wait for the matte network: each uses the newest matte of its stream."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import structlog
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ..faces.mattes import head_alpha
from ..faces.pictures import Pictures
from ..landmarks import DetectorError
from ..matting.spread import Plane

log = structlog.get_logger()

MOST = 64  # streams of all clients whose mattes are kept
_PIXELS = 1 << 26  # of all of them together
_Stream = tuple[bytes, int]  # a client, and what it calls a face


class LiveMattes:
    """The newest matte of each preview stream. Only the network runs on a helper thread; all else on the worker
    thread.
    """

    def __init__(self) -> None:
        self._helper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="effigy-matte")
        self._known: OrderedDict[_Stream, NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()
        self._at_work: Future[None] | None = None

    def dress(self, client: bytes, stream: int, pictures: Pictures) -> Pictures:
        """Adds to a preview [1, …] the matte of one of the last pictures of its stream.

        The first preview of a stream waits for its own matte, so that no opaque square flashes up. Raises
        DetectorError.
        """
        key, colours = (client, stream), pictures.colours()[0]
        known = self._newest(key)
        if known is None:
            known = head_alpha(colours)
            self._keep(key, known)
        elif self._at_work is None or self._at_work.done():
            self._at_work = self._helper.submit(self._look, key, colours)
        return replace(pictures, matte=_resized(known, colours.shape[:2]), is_exact=False)

    def forget(self, client: bytes) -> None:
        """Forgets a client that has left."""
        with self._lock:
            for key in [key for key in self._known if key[0] == client]:
                del self._known[key]

    def close(self) -> None:
        """Ends the helper, having done what it does."""
        self._helper.shutdown(cancel_futures=True)

    def _newest(self, key: _Stream) -> Plane | None:
        with self._lock:
            if key not in self._known:
                return None
            self._known.move_to_end(key)
            return self._known[key].astype(np.float32) / 255

    def _look(self, key: _Stream, colours: Plane) -> None:
        """On the helper's thread."""
        try:
            self._keep(key, head_alpha(colours), again=True)
        except DetectorError:
            pass  # which the first picture's answer told
        except Exception:
            log.exception("a preview keeps an old matte")  # nobody asks the helper's future

    def _keep(self, key: _Stream, matte: Plane, *, again: bool = False) -> None:
        with self._lock:
            if again and key not in self._known:  # its client has left meanwhile
                return
            self._known[key] = np.rint(255 * matte).astype(np.uint8)
            self._known.move_to_end(key)
            while len(self._known) > 1 and (
                len(self._known) > MOST or sum(each.size for each in self._known.values()) > _PIXELS
            ):
                self._known.popitem(last=False)


def _resized(matte: Plane, shape: tuple[int, ...]) -> Plane:
    """[h, w] → [H, W]: a preview may have half the size of the one before."""
    if matte.shape == shape:
        return matte
    small = torch.from_numpy(matte)[None, None]
    large: Plane = F.interpolate(small, shape, mode="bilinear", align_corners=False, antialias=True)[0, 0].numpy()
    return large
