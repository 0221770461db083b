# SPDX-License-Identifier: Apache-2.0
"""The face model: generator, shape model and regressor in one, on disk as a bundle."""

from .about import describe_correction, describe_looks, landmarks_note, looks_network
from .bundle import (
    DEFAULT_BUNDLE,
    FIRST_BUNDLE,
    BundleError,
    embedded_bundle,
    embedded_detector,
    generator_of,
    is_bundle,
    load_face_model,
    load_paper_regressor,
    resolve_bundle,
)
from .face import Edit, FaceModel, Identity, LatentError

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
