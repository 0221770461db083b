# SPDX-License-Identifier: Apache-2.0
"""``effigy page``: the Python interface's pictures in a browser, on this machine alone.

Everything here but ``app`` and ``serve`` works without Gradio, which the extra ``page`` installs.
"""
