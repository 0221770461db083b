# SPDX-License-Identifier: Apache-2.0
"""The gauge: what the landmarks leave open (turn, size, mirror image), fixed by convention."""

from __future__ import annotations

import numpy as np

from .camera import Array, Camera, nearest_rotation
from .shape import ShapeModel
from .topology import Topology


def fix_gauge(model: ShapeModel, camera: Camera, topology: Topology) -> tuple[ShapeModel, Camera]:
    """The same views with a frontal, symmetric, unit-size mean face whose origin is its centroid.

    In order: the mirror image (near landmarks in front), the left–right axis from symmetric pairs, pitch
    zero by the topology's convention, size by the outer-eye distance.
    """
    centre = model.mean.mean(axis=1, keepdims=True)
    model, camera = shift_origin(model, camera, centre[:, 0])
    model, camera = _mirror(model, camera, topology)
    G = _frontal(model.mean, topology)
    size = np.linalg.norm(model.mean[:, topology.unit[1]] - model.mean[:, topology.unit[0]])
    mean, basis = G @ model.mean / size, G @ model.basis / size
    return ShapeModel(mean, basis, model.noise), Camera(camera.R @ G.T, camera.s * size, camera.t)


def shift_origin(model: ShapeModel, camera: Camera, origin: Array) -> tuple[ShapeModel, Camera]:
    """The same views with the face frame's origin moved to ``origin`` [3]."""
    moved = camera.s[:, None] * (camera.R[:, :2] @ origin) * [1, -1]
    shifted = ShapeModel(model.mean - origin[:, None], model.basis, model.noise)
    return shifted, Camera(camera.R, camera.s, camera.t + moved)


def pivot(camera: Camera) -> Array:
    """[3]: the point of the face that stays nearest to the picture's centre over all views.

    An aligned generator crops around one point of the head; with the origin there, a picture needs no
    shift as the head turns.
    """
    A = camera.s[:, None, None] * camera.R[:, :2]
    offset = (0.5 - camera.t) * [1, -1]
    point, *_ = np.linalg.lstsq(A.reshape(-1, 3), offset.reshape(-1), rcond=None)
    return np.asarray(point)


def _mirror(model: ShapeModel, camera: Camera, topology: Topology) -> tuple[ShapeModel, Camera]:
    """Weak perspective cannot tell a face from its depth-reversed mirror image; a nose stands in front."""
    # Depth as the average view sees it.
    depth = np.einsum("ni,il->l", camera.R[:, 2], model.mean) / len(camera)
    if depth[list(topology.near)].mean() >= depth[list(topology.far)].mean():
        return model, camera
    J = np.diag([1.0, 1.0, -1.0])
    return ShapeModel(J @ model.mean, J @ model.basis, model.noise), Camera(J @ camera.R @ J, camera.s, camera.t)


def _frontal(mean: Array, topology: Topology) -> Array:
    """G [3, 3] that turns ``mean`` frontal: symmetric about x = 0 and upright by the convention."""
    # Differences of symmetric pairs all point along x; the convention of ``upright`` gives the rest.
    across = mean - mean[:, topology.mirror]
    x = np.linalg.svd(across)[0][:, 0]
    if x @ (mean[:, topology.unit[1]] - mean[:, topology.unit[0]]) < 0:
        x = -x
    up = mean[:, list(topology.upright.high)].mean(axis=1) - mean[:, list(topology.upright.low)].mean(axis=1)
    up = up - (up @ x) * x
    up /= np.linalg.norm(up)
    z = np.cross(x, up)
    lean = np.radians(topology.upright.lean)
    # ``up`` leans back by ``lean``: it is (0, cos, −sin) in the face frame.
    Y = np.cos(lean) * up + np.sin(lean) * z
    return nearest_rotation(np.stack([x, Y, np.cross(x, Y)]))


def remove_rigid_motions(shapes: Array, mean: Array) -> Array:
    """``shapes`` [M, 3, L] without their components along turns, shifts and scalings of ``mean`` [3, L].

    Such components are poses, not deformations (Lee et al., *Procrustean Normal Distribution*, CVPR 2013).
    """
    L = mean.shape[1]
    centred = mean - mean.mean(axis=1, keepdims=True)
    motions = [centred, *(np.cross(axis, centred.T).T for axis in np.eye(3))]
    motions += [np.outer(axis, np.ones(L)) for axis in np.eye(3)]
    Q, _ = np.linalg.qr(np.stack(motions).reshape(7, -1).T)
    flat = shapes.reshape(len(shapes), -1)
    return (flat - (flat @ Q) @ Q.T).reshape(shapes.shape)
