# SPDX-License-Identifier: Apache-2.0
"""The workshop: fits a face model to a generator, measures what comes of it, and tells about both."""
