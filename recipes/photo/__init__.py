# SPDX-License-Identifier: Apache-2.0
"""How photographs are read: what is learnt for it once, and the figures of docs/capture.md."""
