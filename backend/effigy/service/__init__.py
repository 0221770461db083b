# SPDX-License-Identifier: Apache-2.0
"""The service: sockets in front, one worker that owns the model behind."""
