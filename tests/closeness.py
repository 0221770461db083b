# SPDX-License-Identifier: Apache-2.0
"""How near two results are that differ by rounding alone, on whatever processor.

A processor adds 4, 8 or 16 numbers at a time, a library cuts sums to fit its cache, and both may round a product
before it is added or not: the same sum has other bits on another machine, and a tolerance that was tried out on one is
wrong on the next. So a tolerance is made of what is known anywhere. Of n roundings one after the other, each off by up
to u = eps / 2 of the values' size and as often up as down, √n u is the typical error, and the chance of more
than λ √n u is below 2 exp(−λ² / 2) (Higham and Mary, *A new approach to probabilistic rounding error analysis*, SIAM
J. Sci. Comput. 41, 2019). λ = 8 leaves one value in 10¹³. The size is that of the largest value, since what cancels
keeps the error of its terms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_UNLIKELY = 8.0  # λ


def typical_error(roundings: int, values: Any, dtype: torch.dtype = torch.float32) -> float:
    """√n u times the largest of ``values``, for ``roundings`` in ``dtype`` one after the other."""
    return float(roundings**0.5 * torch.finfo(dtype).eps / 2 * _double(values).abs().max())


def assert_same(made: Any, wanted: Any, roundings: int, dtype: torch.dtype = torch.float32) -> None:
    """Every one of ``made`` is ``wanted``'s (tensors, arrays or numbers), but for that many roundings in ``dtype``."""
    made, wanted = _double(made), _double(wanted)
    assert made.shape == wanted.shape
    error, allowed = float((made - wanted).abs().max()), _UNLIKELY * typical_error(roundings, wanted, dtype)
    assert error <= allowed, f"off by {error:.3g}: {roundings} roundings explain {allowed:.3g}"


def _double(values: Any) -> Tensor:
    """``values``, on the CPU, as float64."""
    return values.detach().cpu().double() if isinstance(values, Tensor) else torch.from_numpy(np.array(values, float))


def roundings_of(network: nn.Module) -> int:
    """How many numbers are added on the way through all layers of ``network``, one layer after the other."""
    weights = [values for name, values in network.named_parameters() if name.endswith("weight") and values.ndim > 1]
    return sum(9 * weight.shape[1] if weight.ndim == 3 else weight[0].numel() for weight in weights)  # 3: Winograd's
