# SPDX-License-Identifier: Apache-2.0
"""Installs the backend into a folder of its own: an environment, PyTorch for this machine, and the backend's wheel."""

from .folder import Folder, Installed
from .plan import Addresses, Flavour, InstallError, Plan, Wheel, carry_over, find_flavour, make_plan, read_wheel
from .removal import Removal
from .run import Installation
from .work import Progress

__all__ = [
    "Addresses",
    "Flavour",
    "Folder",
    "InstallError",
    "Installation",
    "Installed",
    "Plan",
    "Progress",
    "Removal",
    "Wheel",
    "carry_over",
    "find_flavour",
    "make_plan",
    "read_wheel",
]
