# SPDX-License-Identifier: Apache-2.0
"""The service: sockets in front, one worker that owns the model behind."""

from .endpoint import EndpointError
from .serve import ServeOptions, serve

__all__ = ["EndpointError", "ServeOptions", "serve"]
