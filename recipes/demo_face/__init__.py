# SPDX-License-Identifier: Apache-2.0
"""How the embedded default is made: a synthetic head is rendered, and networks learn it. See README.md."""
