# SPDX-License-Identifier: GPL-3.0-or-later
"""One ordered list, registered forwards and unregistered backwards."""

from __future__ import annotations

from . import handlers, preferences
from .pictures import preview, runs, session
from .scene import display, properties
from .ui import (
    bake_all,
    capture_process,
    connection,
    exact,
    export_keys,
    faces,
    grab,
    grab_tool,
    identity,
    identity_files,
    identity_from_photo,
    import_capture,
    import_film,
    install,
    install_dialog,
    landmarks_overlay,
    library,
    live_capture,
    looks,
    menu,
    panel,
    portrait,
    pose,
    pose_from_picture,
    preflight,
    ranges,
    source_photo,
)

# A module has register() and unregister(); later ones may use what earlier ones registered.
_MODULES = (
    preferences,
    properties,
    display,
    session,
    runs,
    connection,
    install,
    install_dialog,
    faces,
    exact,
    identity,
    identity_files,
    identity_from_photo,
    pose,
    looks,
    grab,
    grab_tool,
    library,
    pose_from_picture,
    import_capture,
    capture_process,
    import_film,
    live_capture,
    landmarks_overlay,
    ranges,
    bake_all,
    export_keys,
    preflight,
    menu,
    panel,
    portrait,
    source_photo,
    preview,
    handlers,
)


def register() -> None:
    for module in _MODULES:
        module.register()


def unregister() -> None:
    for module in reversed(_MODULES):
        module.unregister()
