# SPDX-License-Identifier: Apache-2.0
"""Captured performances: read from tables or heard from a phone, and spread over a face's controls."""
