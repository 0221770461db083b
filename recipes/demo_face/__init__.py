# SPDX-License-Identifier: Apache-2.0
"""Makes the embedded default: renders a synthetic head, and trains networks on the renders. See README.md."""
