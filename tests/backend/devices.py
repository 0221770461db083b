# SPDX-License-Identifier: Apache-2.0
"""The devices on which painting is tested: the CPU, and CUDA or a Mac's GPU if there is one."""

from __future__ import annotations

import pytest
import torch

on_cuda = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
DEVICES = ["cpu", pytest.param("cuda", marks=on_cuda)]
on_mps = pytest.mark.skipif(not torch.backends.mps.is_available(), reason="no GPU of a Mac")
ALL_DEVICES = [*DEVICES, pytest.param("mps", marks=on_mps)]
