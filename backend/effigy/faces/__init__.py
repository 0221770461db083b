# SPDX-License-Identifier: Apache-2.0
"""The face model: generator, shape model and regressor in one, on disk as a bundle."""

from .about import describe_correction, describe_looks, landmarks_note, looks_network
from .bundle import load_face_model
from .edit import Edit
from .embedded import (
    DEFAULT_BUNDLE,
    FIRST_BUNDLE,
    embedded_bundle,
    embedded_detector,
    generator_of,
    is_bundle,
    resolve_bundle,
)
from .face import FaceModel
from .header import BundleError
from .identity import Identity
from .latent import LatentError
from .paper import load_paper_regressor

__all__ = [
    "DEFAULT_BUNDLE",
    "FIRST_BUNDLE",
    "BundleError",
    "Edit",
    "FaceModel",
    "Identity",
    "LatentError",
    "describe_correction",
    "describe_looks",
    "embedded_bundle",
    "embedded_detector",
    "generator_of",
    "is_bundle",
    "landmarks_note",
    "load_face_model",
    "load_paper_regressor",
    "looks_network",
    "resolve_bundle",
]
