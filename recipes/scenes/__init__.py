# SPDX-License-Identifier: GPL-3.0-or-later
"""Small scenes in which faces stand among other things, under real light."""
