# SPDX-License-Identifier: Apache-2.0
"""The gauge: turn, size and mirror image, which landmarks alone leave undetermined, fixed by convention."""

from __future__ import annotations

import numpy as np

from .camera import Array, Camera, angles, nearest_rotation
from .shape import ShapeModel
from .topology import Topology

_SOFT = 5e-3  # weight of landmarks that expressions move; not zero, so that few rigid ones suffice

_CONTOUR_STARTS, _CONTOUR_GONE = 8.0, 20.0  # degrees of yaw between which a hidden contour loses its trust
_CONTOUR_LEFT = 0.02  # the trust that remains


def fix_gauge(
    model: ShapeModel, camera: Camera, topology: Topology, *, settle_pose: bool = True
) -> tuple[ShapeModel, Camera]:
    """Transforms the fit so that the mean face is frontal, symmetric and of unit size, with its centroid as origin.

    In this order: mirror image (near landmarks in front), left–right axis from symmetric pairs, pitch zero by the
    topology's convention, size by the outer-eye distance. ``settle_pose`` also removes from the basis what moves the
    rigid landmarks as a whole; the poses of the views must then be fitted again.
    """
    centre = model.mean.mean(axis=1, keepdims=True)
    model, camera = shift_origin(model, camera, centre[:, 0])
    model, camera = _mirror(model, camera, topology)
    G = _frontal(model.mean, topology)
    size = np.linalg.norm(model.mean[:, topology.unit[1]] - model.mean[:, topology.unit[0]])
    mean, basis = G @ model.mean / size, G @ model.basis / size
    if settle_pose:
        basis = remove_rigid_motions(basis, mean, rigidity(topology))
    return ShapeModel(mean, basis, model.noise), Camera(camera.R @ G.T, camera.s * size, camera.t)


def shift_origin(model: ShapeModel, camera: Camera, origin: Array) -> tuple[ShapeModel, Camera]:
    """Moves the face frame's origin to ``origin`` [3] without changing the views; returns model and camera."""
    moved = camera.s[:, None] * (camera.R[:, :2] @ origin) * [1, -1]
    shifted = ShapeModel(model.mean - origin[:, None], model.basis, model.noise)
    return shifted, Camera(camera.R, camera.s, camera.t + moved)


def pivot(camera: Camera) -> Array:
    """Returns [3]: the point of the face that stays nearest to the picture's centre over all views, by least squares.

    An aligned generator crops its pictures around one point of the head. With that point as origin, a picture needs no
    shift when the head turns.
    """
    A = camera.s[:, None, None] * camera.R[:, :2]
    offset = (0.5 - camera.t) * [1, -1]
    point, *_ = np.linalg.lstsq(A.reshape(-1, 3), offset.reshape(-1), rcond=None)
    return np.asarray(point)


def _mirror(model: ShapeModel, camera: Camera, topology: Topology) -> tuple[ShapeModel, Camera]:
    """Chooses the mirror image: weak perspective cannot tell a face from its depth-reversed one, but a nose is in
    front.
    """
    # Depth as the average view sees it.
    depth = np.einsum("ni,il->l", camera.R[:, 2], model.mean) / len(camera)
    if depth[list(topology.near)].mean() >= depth[list(topology.far)].mean():
        return model, camera
    J = np.diag([1.0, 1.0, -1.0])
    return ShapeModel(J @ model.mean, J @ model.basis, model.noise), Camera(J @ camera.R @ J, camera.s, camera.t)


def _frontal(mean: Array, topology: Topology) -> Array:
    """Returns the G [3, 3] that turns ``mean`` frontal: symmetric about x = 0, and upright by the convention."""
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


def remove_rigid_motions(shapes: Array, mean: Array, weights: Array) -> Array:
    """Subtracts from ``shapes`` [M, 3, L] the rotation, shift and scaling of ``mean`` [3, L] that explains them best.

    Such motions are poses, not deformations (Lee et al., *Procrustean Normal Distribution*, CVPR 2013).
    They are read from the landmarks with ``weights`` [L]: where these are the rigid ones, the pose is the
    skull's, and an opening jaw does not nod the head.
    """
    L = mean.shape[1]
    centred = mean - mean.mean(axis=1, keepdims=True)
    motions = [centred, *(np.cross(axis, centred.T).T for axis in np.eye(3))]
    motions += [np.outer(axis, np.ones(L)) for axis in np.eye(3)]
    design = np.stack(motions).reshape(7, -1).T  # [3 L, 7]
    flat = shapes.reshape(len(shapes), -1)
    root = np.tile(np.sqrt(weights), 3)
    amounts, *_ = np.linalg.lstsq(design * root[:, None], (flat * root).T, rcond=None)
    return (flat - (design @ amounts).T).reshape(shapes.shape)


def rigidity(topology: Topology) -> Array:
    """Returns [L]: the weight of each landmark in estimating the skull's pose."""
    weights = np.full(topology.count, _SOFT)
    weights[list(topology.rigid)] = 1.0
    return weights


def contour_visibility(camera: Camera, topology: Topology) -> Array:
    """Returns [N, L]: 1, but near 0 for contour landmarks on the side that a turned face hides."""
    visible = np.ones((len(camera), topology.count))
    yaw = np.degrees(angles(camera.R)[0])[:, None]
    for side, landmarks in zip((-1, 1), topology.contour, strict=True):
        # Yaw > 0 turns the nose to the right, which hides the picture's right half of the contour.
        hidden = np.clip((side * yaw - _CONTOUR_STARTS) / (_CONTOUR_GONE - _CONTOUR_STARTS), 0, 1)
        visible[:, list(landmarks)] = 1 - (1 - _CONTOUR_LEFT) * hidden
    return visible
