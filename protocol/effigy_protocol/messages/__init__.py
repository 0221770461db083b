# SPDX-License-Identifier: Apache-2.0
"""All messages, as typed dataclasses. Each subject has a file; import from here.

Angles are degrees; lengths are head units, the outer-eye distance of the mean face; picture coordinates run from 0 to 1
over the generator's picture (x right, y down). A ``Buffer`` travels as a frame of its own behind the header, everything
else in the header.
"""

from __future__ import annotations

from typing import TypeAlias

from .identities import (
    MOST_SEEDS,
    SEEDS,
    Alignment,
    FromLatent,
    FromPhoto,
    FromSeed,
    Identity,
    Mix,
    OpenIdentity,
    Release,
    Source,
)
from .jobs import CancelJob, Job, JobStatus, Working
from .photos import MOST_FACES, PHOTO_POINTS, FaceBox, PictureRead, ReadPicture, pieces
from .pictures import (
    HEAD_UNIT,
    LEANS,
    PASS_CHANNELS,
    Cancel,
    Encoding,
    Frame,
    MatteName,
    PassName,
    Purpose,
    Synthesize,
    Timings,
)
from .service import Done, Error, Hello, KnownModel, Ping, Pong, ServicePhase, Status, StatusReport, Welcome
from .values import ITEM_BYTES, MAX_DIMENSIONS, MAX_POSE, Array, Buffer, Parameter, Pose

__all__ = [
    "ANSWER_OF",
    "HEAD_UNIT",
    "ITEM_BYTES",
    "LEANS",
    "MAX_DIMENSIONS",
    "MAX_POSE",
    "MOST_FACES",
    "MOST_SEEDS",
    "PASS_CHANNELS",
    "PHOTO_POINTS",
    "RESULTS",
    "SEEDS",
    "Alignment",
    "Array",
    "Buffer",
    "Cancel",
    "CancelJob",
    "Done",
    "Encoding",
    "Error",
    "FaceBox",
    "Frame",
    "FromLatent",
    "FromPhoto",
    "FromSeed",
    "Hello",
    "Identity",
    "Job",
    "JobStatus",
    "KnownModel",
    "MatteName",
    "Mix",
    "OpenIdentity",
    "Parameter",
    "PassName",
    "PictureRead",
    "Ping",
    "Pong",
    "Pose",
    "Purpose",
    "ReadPicture",
    "Release",
    "Reply",
    "Request",
    "ServicePhase",
    "Source",
    "Status",
    "StatusReport",
    "Synthesize",
    "Timings",
    "Welcome",
    "Working",
    "pieces",
]

Request: TypeAlias = (
    Hello | OpenIdentity | Synthesize | ReadPicture | Cancel | Release | JobStatus | CancelJob | Status | Ping
)
Reply: TypeAlias = Welcome | Identity | Frame | PictureRead | Job | Working | StatusReport | Done | Pong | Error

RESULTS: tuple[type[Reply], ...] = (Identity, PictureRead)
"""The results of long work."""

ANSWER_OF: dict[type[Request], tuple[type[Reply], ...]] = {
    Hello: (Welcome,),
    OpenIdentity: (Identity, Job),
    Synthesize: (Frame,),
    ReadPicture: (Job,),
    Cancel: (Done,),
    Release: (Done,),
    JobStatus: (Working, *RESULTS),
    CancelJob: (Done,),
    Status: (StatusReport,),
    Ping: (Pong,),
}
"""The replies to each request. Besides, Error may answer any."""
