# SPDX-License-Identifier: GPL-3.0-or-later
"""Effigy: pose faces that a StyleGAN paints, in 3D.

``core`` holds what needs no Blender (the client, the mathematics of pose, the child process), ``blender``
what talks to bpy. Importing this package touches neither, so ``core`` can be tested anywhere.
"""


def register() -> None:
    """Registers classes and handlers; starts nothing."""
    from .blender import registration

    registration.register()


def unregister() -> None:
    """Exactly undoes ``register``; closes the connection and the backend that this Blender started."""
    from .blender import registration

    registration.unregister()
