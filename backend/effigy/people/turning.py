# SPDX-License-Identifier: Apache-2.0
"""Measures how far a person's pictures turn for each degree of yaw that the regressor φ reads.

φ has learnt from the model's own people. The latent found for a photograph is unlike them, and tuning changes the
generator besides, so pictures may turn less or more than φ reads. The networks that read photographs see how far. One
factor stands for both sides, although some people turn further to one than to the other.
"""

from __future__ import annotations

import numpy as np
import torch

from ..faces import FaceModel, Identity
from ..faces.person import TURNS
from ..faces.photo_map import Features
from ..landmarks.photo import PhotoReader, doubled

_TURNED = (-24.0, -12.0, 0.0, 12.0, 24.0)  # degrees from where the photograph looks
_FEWEST = 4  # pictures with a face


def measure_turns(model: FaceModel, identity: Identity, reader: PhotoReader) -> float | None:
    """Returns the slope of the yaw that pictures of ``identity`` show by the yaw that φ reads in their latents.

    None for a model that cannot read photographs, where too few pictures show a face, and beyond what is possible.
    """
    photos = model.photo_map
    if photos is None:
        return None
    edits = [model.edit(identity, identity.pose.yaw + turn, identity.pose.pitch, {}) for turn in _TURNED]
    pictures = model.tuned_for(identity).paint(torch.stack([edit.ws for edit in edits]))[..., :3]
    faces = reader.read_each(doubled(torch.from_numpy(pictures)))
    seen = [
        (edit.pose.yaw, photos.read_pose(Features.of(face))[0])
        for edit, face in zip(edits, faces, strict=True)
        if face is not None
    ]
    if len(seen) < _FEWEST:
        return None
    read, shown = np.array(seen).T
    slope = float(np.polyfit(read, shown, 1)[0])
    return slope if TURNS[0] <= slope <= TURNS[1] else None
