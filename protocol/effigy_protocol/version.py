# SPDX-License-Identifier: Apache-2.0
"""The version of Effigy: of backend, client, add-on and protocol alike. Nothing else says it."""

VERSION = "0.2.0"
