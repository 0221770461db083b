# SPDX-License-Identifier: Apache-2.0
"""The networks that paint, with the state-dict names and the numbers of the official ones."""
