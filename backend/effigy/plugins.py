# SPDX-License-Identifier: Apache-2.0
"""Plug-ins: objects that other installed packages declare as entry points of one of our groups."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

import structlog

log = structlog.get_logger()


def load_plugins(group: str, register: Callable[[Any], None]) -> None:
    """Registers every entry point of ``group``. One that fails to load is logged and skipped."""
    for entry in entry_points(group=group):
        try:
            register(entry.load())
        except Exception as error:  # noqa: BLE001  a plug-in that breaks must not take Effigy with it
            log.warning("a plug-in cannot be used", group=group, plugin=entry.value, error=str(error)[:300])
