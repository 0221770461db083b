# SPDX-License-Identifier: Apache-2.0
"""Describes a face model to clients, and checks at load time that it can be described, opened and edited."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from effigy_protocol import ProtocolError, decode_reply, encode
from effigy_protocol.messages import Array, KnownModel, MatteName, Parameter, PassName, Welcome
from effigy_protocol.version import VERSION

from ..generators.planes import ALPHA
from ..geometry.camera import POSE
from ..geometry.expressions import LEAST_SHOWN, mirror_twins
from .attributes import GROUP
from .face import FaceModel
from .latent import LatentError

_TURN = 1.0  # degrees
_FARTHEST = 180.0  # degrees of a pose range
_LONGEST = 1000.0  # of a range of a control, whose value 1 is as far as people go


def welcome(model: FaceModel, others: tuple[KnownModel, ...] = ()) -> Welcome:
    """Describes the model for clients, which build their interface from it; ``others`` can be opened besides."""
    K, _, L = model.shape.basis.shape
    moves = np.array([c.direction for c in model.controls.values()]).reshape(-1, K)
    directions = np.zeros((len(model.sliders), 3 * L))  # attributes move no landmark
    directions[: len(moves)] = moves @ model.shape.basis.reshape(K, -1)
    return Welcome(
        server=f"effigy {VERSION}",
        device=str(model.generator.device),
        model=model.model_id,
        model_name=model.name,
        resolution=model.generator.resolution,
        topology=model.topology.name,
        mean=encode_floats(model.shape.mean),
        triangles=encode_ints(model.triangles),
        mirror=encode_ints(model.topology.mirror),
        pose=_pose(model),
        controls=(*controls_of(model), *_attributes(model)),
        directions=encode_floats(directions.reshape(-1, 3, L)),
        alpha=ALPHA in model.generator.planes,
        passes=get_args(PassName),
        mattes=get_args(MatteName),
        others=others,
        reads_pictures=model.photo_map is not None,
        makes_people=model.encoder is not None,
    )


def _pose(model: FaceModel) -> tuple[Parameter, ...]:
    """Returns the parameters of the head's turn; the mirror image has the opposite yaw and the same pitch."""
    yaw, pitch = model.pose_range
    return (
        Parameter("yaw", "pose", -yaw, yaw, mirror="yaw", is_odd=True),
        Parameter("pitch", "pose", -pitch, pitch, mirror="pitch"),
    )


def controls_of(model: FaceModel) -> tuple[Parameter, ...]:
    """Returns the controls that can be asked for, in the model's order."""
    twins = mirror_twins(model.topology, model.controls)
    return tuple(
        Parameter(c.name, c.group, c.low, c.high, mirror=twins[c.name].name, is_odd=twins[c.name].is_odd)
        for c in model.controls.values()
    )


def _attributes(model: FaceModel) -> tuple[Parameter, ...]:
    """Returns the attributes, in the model's order; each is its own mirror image."""
    return tuple(Parameter(a.name, GROUP, a.low, a.high, mirror=a.name) for a in model.attributes.values())


def check_model(model: FaceModel) -> None:
    """Raises ValueError for a model that cannot be described to clients, opened or edited, because of its numbers."""
    L, Q = model.topology.count, len(model.regressor.q_mean)
    K = len(model.shape.basis)
    shapes = {
        "shape.mean": (model.shape.mean.shape, (3, L)),
        "shape.basis": (model.shape.basis.shape, (K, 3, L)),
        "shape.noise": (model.shape.noise.shape, (L,)),
        "regressor.q_mean": ((Q,), (POSE + K,)),
        "regressor.whitening.basis": (model.regressor.whitening.basis.shape[1:], (model.generator.w_dim,)),
    }
    for control in model.controls.values():
        shapes[f"direction of {control.name[:40]}"] = (control.direction.shape, (K,))
        shapes[f"reading of {control.name[:40]}"] = (control.reading.shape, (K,))
    for name, (found, wanted) in shapes.items():
        if tuple(found) != wanted:
            raise ValueError(f"its {name} is {list(found)} where this model has {list(wanted)}")
    if model.regressor.rows not in (1, model.generator.num_ws):
        raise ValueError(f"its regressor reads {model.regressor.rows} rows of w+, of {model.generator.num_ws}")
    try:
        decode_reply(encode(0, welcome(model)))
    except (ProtocolError, OverflowError) as error:
        raise ValueError(f"it cannot be described: {error}") from None
    for control in model.controls.values():
        if not -_LONGEST <= control.low <= 0 <= control.high <= _LONGEST:
            ends = f"{control.low:.6g} to {control.high:.6g}"
            raise ValueError(f"its control {control.name} runs from {ends}: not around zero, or beyond {_LONGEST:.0f}")
        if not LEAST_SHOWN <= control.shown <= 1:
            raise ValueError(f"pictures show {control.shown} of its control {control.name}, not {LEAST_SHOWN} … 1")
    if not all(0 <= reach <= _FARTHEST for reach in model.pose_range):
        reaches = ", ".join(f"{reach:.6g}" for reach in model.pose_range)
        raise ValueError(f"its pose range is {reaches}: degrees of yaw and pitch are from 0 to {_FARTHEST:.0f}")
    try:
        with np.errstate(over="raise", invalid="raise"):
            face = model.open_seed(0, truncation=0.0)
            edit = model.edit(face, face.pose.yaw + _TURN, face.pose.pitch, dict.fromkeys(model.controls, 0.0))
    except (LatentError, FloatingPointError) as error:
        raise ValueError(f"its mean face cannot be opened and turned: {error}") from None
    if not np.isfinite(edit.ws.numpy()).all():
        raise ValueError("its mean face cannot be turned: its numbers lead beyond all bounds")


def encode_floats(values: NDArray[Any]) -> Array:
    """Encodes values as float32."""
    return Array("f4", values.shape, np.ascontiguousarray(values, dtype="<f4").tobytes())


def encode_halves(values: NDArray[Any]) -> Array:
    """Encodes values as float16."""
    return Array("f2", values.shape, np.ascontiguousarray(values, dtype="<f2").tobytes())


def encode_ints(values: NDArray[Any]) -> Array:
    """Encodes values as int32."""
    return Array("i4", values.shape, np.ascontiguousarray(values, dtype="<i4").tobytes())
