# SPDX-License-Identifier: Apache-2.0
"""Asserts that two results differ by rounding only, on any processor.

A processor adds 4, 8 or 16 numbers at a time, a library splits sums to fit its cache, and both may or may not round a
product before it is added. So the same sum has different bits on another machine, and a tolerance that was tried out
on one machine may fail on the next. Here a tolerance follows from what is known everywhere. For n successive roundings
with errors up to u = eps / 2 relative to the values, up as often as down, the typical error is √n u, and the
probability of more than λ √n u is below 2 exp(−λ² / 2) (Higham and Mary, *A new approach to probabilistic rounding
error analysis*, SIAM J. Sci. Comput. 41, 2019). λ = 8 leaves one value in 10¹³. Errors are relative to the largest
value, because a sum that cancels keeps the errors of its terms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_UNLIKELY = 8.0  # λ


def typical_error(roundings: int, values: Any, dtype: torch.dtype = torch.float32) -> float:
    """Returns √n u times the largest of ``values``, for n = ``roundings`` successive roundings in ``dtype``."""
    return float(roundings**0.5 * torch.finfo(dtype).eps / 2 * _double(values).abs().max())


def assert_same(made: Any, wanted: Any, roundings: int, dtype: torch.dtype = torch.float32) -> None:
    """Asserts that ``made`` equals ``wanted`` (tensors, arrays or numbers) up to that many roundings in ``dtype``."""
    made, wanted = _double(made), _double(wanted)
    assert made.shape == wanted.shape
    error, allowed = float((made - wanted).abs().max()), _UNLIKELY * typical_error(roundings, wanted, dtype)
    assert error <= allowed, f"off by {error:.3g}: {roundings} roundings explain {allowed:.3g}"


def _double(values: Any) -> Tensor:
    """Returns ``values`` on the CPU as float64."""
    return values.detach().cpu().double() if isinstance(values, Tensor) else torch.from_numpy(np.array(values, float))


def roundings_of(network: nn.Module) -> int:
    """Counts the numbers that are added along the way through all layers of ``network``."""
    weights = [values for name, values in network.named_parameters() if name.endswith("weight") and values.ndim > 1]
    return sum(9 * weight.shape[1] if weight.ndim == 3 else weight[0].numel() for weight in weights)  # 3: Winograd's
