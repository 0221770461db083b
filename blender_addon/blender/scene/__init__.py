# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the scene: a face's rig, its picture's place, and the parameters that the scene gives it."""
