# SPDX-License-Identifier: Apache-2.0
"""Faces in photographs and films: where they are, 478 points with irises, 52 scores of expression."""
