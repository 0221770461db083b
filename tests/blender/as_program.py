# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Blender as a Python module, asked as the program is: --background FILE --python-exit-code N --python-expr CODE.

With EFFIGY_ZIP its user has installed the add-on.
"""

from __future__ import annotations

import os
import sys
import traceback

import bpy

# isort: split
import addon_utils  # bpy brings it

PACKAGE = "bl_ext.user_default.effigy"


def main(background: str, blend: str, flag: str, code: str, expression: str, text: str) -> int:
    assert (background, flag, expression) == ("--background", "--python-exit-code", "--python-expr")
    if zipped := os.environ.get("EFFIGY_ZIP"):
        bpy.ops.extensions.package_install_files(filepath=zipped, repo="user_default", enable_on_install=False)
        addon_utils.enable(PACKAGE, default_set=True)
    bpy.ops.wm.open_mainfile(filepath=blend)
    try:
        exec(text, {})
    except Exception:  # noqa: BLE001 as the program does
        traceback.print_exc()
        return int(code)
    finally:
        if zipped:
            addon_utils.disable(PACKAGE)
    return 0


ended = main(*sys.argv[1:])
sys.stdout.flush()
sys.stderr.flush()
os._exit(ended)
