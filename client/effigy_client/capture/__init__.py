# SPDX-License-Identifier: Apache-2.0
"""Captured performances: read from tables, films, cameras or a phone, and mapped to a face's controls."""
