# SPDX-License-Identifier: GPL-3.0-or-later
"""Effigy: pose faces that a StyleGAN paints, in 3D.

``blender`` talks to bpy. What needs no Blender is in the package ``effigy_client``, which comes as a wheel in the
extension's zip. Importing this package touches neither.
"""


def register() -> None:
    """Registers classes and handlers; starts nothing."""
    from .blender import restart

    if restart.is_needed():
        restart.register()
    else:
        from .blender import registration

        registration.register()


def unregister() -> None:
    """Undoes ``register``, and closes the connection and the backend that this Blender started."""
    from .blender import restart

    if restart.is_registered():
        restart.unregister()
    else:
        from .blender import registration

        registration.unregister()
