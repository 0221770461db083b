# SPDX-License-Identifier: GPL-3.0-or-later
"""Arrays of messages as NumPy's."""

from __future__ import annotations

import numpy as np

from effigy_protocol.messages import Array


def floats(array: Array) -> np.ndarray:
    """Converts an array of float32 to float64."""
    return np.frombuffer(array.data, dtype="<f4").reshape(array.shape).astype(np.float64)


def integers(array: Array) -> np.ndarray:
    """Returns an array of int32."""
    return np.frombuffer(array.data, dtype="<i4").reshape(array.shape)
