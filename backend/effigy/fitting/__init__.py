# SPDX-License-Identifier: Apache-2.0
"""Fits a face model to a generator, evaluates its edits, and reports on both."""
