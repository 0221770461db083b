# SPDX-License-Identifier: GPL-3.0-or-later
"""One ordered list, registered forwards and unregistered backwards."""

from __future__ import annotations

from . import bake_operators, handlers, operators, panel, preferences, preview, properties, session

# A module has register() and unregister(); later ones may use what earlier ones registered.
_MODULES = (preferences, properties, session, operators, bake_operators, panel, preview, handlers)


def register() -> None:
    for module in _MODULES:
        module.register()


def unregister() -> None:
    for module in reversed(_MODULES):
        module.unregister()
