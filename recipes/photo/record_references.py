# SPDX-License-Identifier: Apache-2.0
"""Records what TensorFlow's own runtime computes with the networks that read photographs, for the tests.

In an environment of its own, since neither package is a dependency of ours:

    pip install ai-edge-litert scikit-image numpy
    python recipes/photo/record_references.py backend/effigy/landmarks/photo/networks tests/fixtures/photo/networks.npz

The picture is scikit-image's astronaut: Eileen Collins, photographed by NASA, public domain.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import numpy as np
import skimage.data
from ai_edge_litert.interpreter import Interpreter

_EVERY = {"near": 8, "far": 16, "matte": 16}  # of many outputs: rows or pixels that are kept


def run(model: bytes, inputs: np.ndarray) -> list[np.ndarray]:
    """Returns the outputs for one picture [1, …], in the file's order."""
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs)
    interpreter.invoke()
    return [interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()]


def main(networks: Path, out: Path) -> None:
    photo = skimage.data.astronaut()
    face = photo[20:276, 96:352]  # [256, 256, 3]
    archive = zipfile.ZipFile(networks / "face_landmarker.task")
    near = run(archive.read("face_detector.tflite"), face[None, ::2, ::2] / np.float32(127.5) - np.float32(1))
    far_model = (networks / "face_detection_full_range_sparse.tflite").read_bytes()
    far = run(far_model, face[None, 32:224, 32:224] / np.float32(127.5) - np.float32(1))
    close = face[12:140, 62:190].repeat(2, axis=0).repeat(2, axis=1)
    mesh = run(archive.read("face_landmarks_detector.tflite"), close[None] / np.float32(255))
    matte = run((networks / "selfie_segmentation.tflite").read_bytes(), face[None] / np.float32(255))
    points = mesh[0].reshape(1, 478, 3)[:, :146, :2]  # any 146 will do
    scores = run(archive.read("face_blendshapes.tflite"), np.ascontiguousarray(points))
    found = {"near": near, "far": far, "mesh": mesh, "scores": scores, "matte": matte}
    arrays = {"face": face, "points": points}
    for name, outputs in found.items():
        for number, values in enumerate(outputs):
            every = _EVERY.get(name, 1)
            kept = values[:, ::every, ::every] if name == "matte" else values[:, ::every] if every > 1 else values
            arrays[f"{name}{number}"] = kept.astype(np.float32)
    np.savez_compressed(out, **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
