# SPDX-License-Identifier: Apache-2.0
"""An anchor latent as bytes: what an Identity message carries and a .blend keeps.

The bytes are ``EFLT``, then two little-endian uint32 (rows, w_dim), then rows · w_dim little-endian float32.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from effigy_protocol.record import LATENT_MAGIC

_HEADER = struct.Struct("<4sII")


class LatentError(Exception):
    """Bytes that are no latent of this model; the message says what is wrong."""


def latent_to_bytes(ws: NDArray[np.float32]) -> bytes:
    """Encodes w+ [num_ws, w_dim]; one row is written where all rows are equal."""
    rows = ws[:1] if (ws == ws[0]).all() else ws
    return _HEADER.pack(LATENT_MAGIC, *rows.shape) + rows.astype("<f4").tobytes()


def mix(ws: NDArray[np.float32], other: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Returns ws + share · (other − ws), with ``share`` from 0 to 1; both ends are exact."""
    return ws + np.float32(share) * (other - ws) if share < 1 else other


def latent_from_bytes(data: bytes | memoryview, num_ws: int, w_dim: int) -> NDArray[np.float32]:
    """Decodes bytes to w+ [num_ws, w_dim]. Raises LatentError unless they are a finite latent of these sizes."""
    raw = bytes(data)
    if len(raw) < _HEADER.size or raw[:4] != LATENT_MAGIC:
        raise LatentError("these bytes are not an Effigy latent")
    _, rows, columns = _HEADER.unpack_from(raw)
    if columns != w_dim or rows not in (1, num_ws):
        raise LatentError(f"the latent is {rows} × {columns}; this model's are {num_ws} × {w_dim} (or 1 × {w_dim})")
    if len(raw) != _HEADER.size + 4 * rows * columns:
        raise LatentError(f"the latent has {len(raw)} bytes, which is not what its header says")
    ws = np.frombuffer(raw, dtype="<f4", offset=_HEADER.size).reshape(rows, columns)
    if not np.isfinite(ws).all():
        raise LatentError("the latent holds NaN or infinite values")
    return np.broadcast_to(ws, (num_ws, w_dim)).astype(np.float32)
