# SPDX-License-Identifier: Apache-2.0
"""What tests accept as equal: the same sum in another order, but nothing that differs by a thousandth."""

from __future__ import annotations

import pytest
import torch

from .closeness import assert_same, typical_error

NUMBERS = torch.randn(500, 4096, generator=torch.Generator().manual_seed(0))
SUMS = NUMBERS.double().sum(dim=1)


@pytest.mark.parametrize(("dtype", "count"), [(torch.float32, 4096), (torch.bfloat16, 64), (torch.float16, 64)])
def test_a_sum_in_the_worst_order_is_the_same_and_another_is_not(dtype, count):
    numbers = NUMBERS[:, :count].to(dtype)
    wanted, made = numbers.double().sum(dim=1), torch.zeros(len(numbers), dtype=dtype)
    for column in numbers.unbind(dim=1):
        made += column
    assert_same(made, wanted, count, dtype)
    off = (made.double() - wanted).square().mean().sqrt()
    assert off < typical_error(count, wanted, dtype)
    with pytest.raises(AssertionError, match=f"{count} roundings"):
        assert_same(wanted + 10 * typical_error(count, wanted, dtype), wanted, count, dtype)


def test_a_thousandth_is_no_rounding_of_single_precision():
    with pytest.raises(AssertionError):
        assert_same(1.001 * SUMS, SUMS, 4096)


def test_nan_equals_nothing():
    with pytest.raises(AssertionError):
        assert_same([float("nan")], [float("nan")], 1)
    with pytest.raises(AssertionError):
        assert_same([float("nan")], [1.0], 1)
