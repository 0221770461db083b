# SPDX-License-Identifier: Apache-2.0
"""Measures cameras that are fitted to 478 points of an embedded model's pictures, as found and as straightened.

    python -m recipes.photo.nods [--model default] [--count 1500]

They are compared with the cameras of the model's own shape and detector of 68 points; and, of the default, with those
that its latents ask for.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from effigy.faces import embedded_detector, generator_of, load_face_model, resolve_bundle
from effigy.generators import load_generator
from effigy.generators.planes import colour
from effigy.geometry import FitOptions, angles, fit, infer, load_topology
from effigy.geometry.camera import Array, Camera
from effigy.landmarks import load_detector
from effigy.landmarks.photo import PhotoDetector
from effigy.landmarks.photo.straightening import straightening

from ..demo_face.latents import parameters_of
from ..demo_face.parameters import decode

_BATCH = 8
_FEWEST = 100  # people, more than the cameras of 8 shapes need


def paint_and_read(model: str, count: int) -> tuple[Array, Array, Array, Array]:
    """Paints random people at ψ = 1.

    Returns their z [N, z_dim] and points in [0, 1]: 478 as found [N, 2, 478] and as straightened, and those of the
    embedded detector; all without people in whose pictures no face is seen. Raises SystemExit where too few are left.
    """
    generator, photo = load_generator(generator_of(model)), PhotoDetector()
    embedded = load_detector("embedded", embedded_detector(resolve_bundle(model)), "cpu")
    rows: list[tuple[Array, Array, Array, Array]] = []
    random = np.random.RandomState([0, 0])
    for part in torch.from_numpy(random.randn(count, generator.z_dim)).float().split(_BATCH):
        with torch.inference_mode():
            pictures = colour(generator.synthesize(generator.map(part)), generator.planes)
        size = pictures.shape[-1]
        faces, W = photo.faces(pictures), embedded.detect(pictures).double().numpy()
        rows += [
            (z.numpy(), face.points[:, :2].T / size, straightening().straightened(face.points).T / size, points)
            for z, face, points in zip(part, faces, W, strict=True)
            if face is not None
        ]
    if len(rows) < _FEWEST:
        raise SystemExit(
            f"a face is seen in {len(rows)} of {count} pictures of {model}, and cameras are fitted to {_FEWEST} or "
            "more: raise --count"
        )
    z, found, straight, points = (np.array(each) for each in zip(*rows, strict=True))
    return z, found, straight, points


def turns_of(camera: Camera) -> Array:
    """Returns yaw and pitch [N, 2] in degrees."""
    return np.degrees(np.stack(angles(camera.R)[:2], axis=1))


def compare(name: str, truth: Array, turns: Array) -> None:
    """Prints slope, offset, and mean distance from the truth without that offset, of yaw and of pitch."""
    for axis, word in enumerate(("yaw", "pitch")):
        apart = turns[:, axis] - truth[:, axis]
        slope = np.polyfit(truth[:, axis], turns[:, axis], 1)[0]
        error = np.abs(apart - apart.mean()).mean()
        print(f"{name}: {word} slope {slope:.3f}, offset {apart.mean():.2f}°, error {error:.2f}°")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default", choices=("default", "first-default"))
    parser.add_argument("--count", type=int, default=1500)
    options = parser.parse_args()
    z, found, straight, points = paint_and_read(options.model, options.count)
    of_68 = turns_of(infer(load_face_model(resolve_bundle(options.model)).shape, points).camera)
    truths = {"68 points": of_68}
    if options.model == "default":
        scenes = [decode(vector) for vector in parameters_of(torch.from_numpy(z)).numpy()]
        truths["the latents"] = np.degrees([(scene.yaw, -scene.pitch) for scene in scenes])
        compare("68 points, by the latents", truths["the latents"], of_68)
    for name, W in (("as found", found), ("straightened", straight)):
        turns = turns_of(fit(W, load_topology("mediapipe478"), FitOptions(basis=8, sweeps=15, robust=False)).camera)
        for truth in truths:
            compare(f"478 points {name}, by {truth}", truths[truth], turns)


if __name__ == "__main__":
    main()
