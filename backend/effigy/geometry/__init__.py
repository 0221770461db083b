# SPDX-License-Identifier: Apache-2.0
"""Cameras, deformable shape models, and fitting both to landmarks. Knows nothing of generators."""

from .axes import mirrored_axes
from .camera import Camera, angles, project, rotation
from .nrsfm import FitOptions, FitResult, GeometryError, fit
from .shape import ShapeModel, check_views, infer
from .surface import surface
from .topology import Topology, load_topology

__all__ = [
    "Camera",
    "FitOptions",
    "FitResult",
    "GeometryError",
    "ShapeModel",
    "Topology",
    "angles",
    "check_views",
    "fit",
    "infer",
    "load_topology",
    "mirrored_axes",
    "project",
    "rotation",
    "surface",
]
