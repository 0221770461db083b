# SPDX-License-Identifier: GPL-3.0-or-later
"""What an artist sees and presses."""
