# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of faces: from the backend to plates, renders and files."""
