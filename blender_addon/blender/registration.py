# SPDX-License-Identifier: GPL-3.0-or-later
"""One ordered list, registered forwards and unregistered backwards."""

from __future__ import annotations

from . import (
    bake_operators,
    display,
    grab,
    handlers,
    identity_operators,
    import_operators,
    library,
    live_capture,
    operators,
    panel,
    pose_operators,
    preferences,
    preflight,
    preview,
    properties,
    session,
)

# A module has register() and unregister(); later ones may use what earlier ones registered.
_MODULES = (
    preferences,
    properties,
    display,
    session,
    operators,
    identity_operators,
    pose_operators,
    grab,
    library,
    import_operators,
    live_capture,
    bake_operators,
    preflight,
    panel,
    preview,
    handlers,
)


def register() -> None:
    for module in _MODULES:
        module.register()


def unregister() -> None:
    for module in reversed(_MODULES):
        module.unregister()
