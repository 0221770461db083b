# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything of the add-on that talks to bpy."""
