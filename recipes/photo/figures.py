# SPDX-License-Identifier: Apache-2.0
"""The figures of docs/capture.md: how well a face model's pictures are read, carried over, and captured from films.

python recipes/photo/figures.py [--model default] [--people 63] [--only read,transfer,film,speed]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import torch

from effigy.capture import SourceError, open_film
from effigy.commands.capture import CaptureError, Performer, read_take, rest_of, write_take
from effigy.faces import BundleError, FaceModel, Identity, load_face_model, resolve_bundle
from effigy.faces.picture_reading import NoFaceError, PictureReading, read_picture
from effigy.faces.transfer import UnreadableModelError, photo_map_of, transfer
from effigy.faces.welcome import controls_of
from effigy.fitting.photo_learning import random_edit
from effigy.landmarks import DetectorError
from effigy.landmarks.photo import Film, PhotoReader, doubled
from effigy_client.capture.retarget import Target, retarget
from effigy_client.capture.tables import read_live_link

_FIRST = 5_000_000  # seeds of people from whom nothing was learnt
_EDITS = 7
_FPS = 12
_FEWEST = 3  # readings that have a correlation
_Ask = tuple[float, float, dict[str, float]]


def random_asks(model: FaceModel, random: np.random.Generator, count: int) -> list[_Ask]:
    """Draws ``count`` edits within the ranges of ``model``."""
    return [random_edit(model.controls, model.pose_range, random) for _ in range(count)]


def painted(model: FaceModel, person: Identity, asks: list[_Ask]) -> np.ndarray:
    """[n, H, W, 3]."""
    return model.paint(torch.stack([model.edit(person, *one).ws for one in asks]))[..., :3]


def try_to_read(model: FaceModel, reader: PhotoReader, picture: np.ndarray) -> PictureReading | None:
    try:
        return read_picture(model, reader, picture, painted=True)
    except NoFaceError:
        return None


def check_seen(found: int, count: int, model: FaceModel) -> None:
    """Raises SystemExit where faces are seen in too few pictures for figures."""
    if found < _FEWEST:
        raise SystemExit(f"a face is read in {found} of {count} pictures of {model.name}: there are no figures of it")


def read(model: FaceModel, reader: PhotoReader, people: int) -> dict[str, object]:
    """Pictures with known truth: found, and read back.

    The truth is what was asked. A shut mouth that is asked to shut more looks as before, so there are two more:
    ``correlation_reached`` with what the edit says that it reached, and ``correlation_upwards`` with what was asked, of
    the pictures in which the control was not asked to go below the person's rest.
    """
    random = np.random.default_rng(1)
    poses, controls, found, large, count = [], [], 0, 0, 0
    for number in range(people):
        person = model.open_seed(_FIRST + number)
        own = model.own_expression(person)
        asks: list[_Ask] = [(0.0, 0.0, {}), *random_asks(model, random, _EDITS)]
        edits = [model.edit(person, *one) for one in asks]
        pictures = model.paint(torch.stack([edit.ws for edit in edits]))[..., :3]
        enlarged = doubled(torch.from_numpy(pictures.copy())).numpy()
        for (yaw, pitch, asked), edit, picture, twice in zip(asks, edits, pictures, enlarged, strict=True):
            count += 1
            large += bool(reader.read(twice, most=1))
            if (reading := try_to_read(model, reader, picture)) is not None:
                found += 1
                poses.append((yaw, pitch, reading.yaw, reading.pitch))
                controls.append(
                    [
                        [asked.get(n, 0.0), own[n], edit.residual.get(n, 0.0), reading.controls[n]]
                        for n in model.controls
                    ]
                )
    check_seen(found, count, model)
    P, C = np.array(poses), np.array(controls)

    def correlation(truth: Callable[[np.ndarray], np.ndarray], low: float = -np.inf) -> dict[str, float]:
        rows = {n: C[C[:, i, 0] >= low, i].T for i, n in enumerate(model.controls)}
        return {n: float(np.corrcoef(truth(values), values[3])[0, 1]) for n, values in rows.items()}

    return {
        "pictures": count, "found": found, "found_at_twice_the_size": large,
        "mae": [float(np.abs(P[:, i + 2] - P[:, i]).mean()) for i in range(2)],
        "slope": [float(np.polyfit(P[:, i], P[:, i + 2], 1)[0]) for i in range(2)],
        "correlation": correlation(lambda v: v[0] + v[1]),
        "correlation_reached": correlation(lambda v: v[0] + v[1] - v[2]),
        "correlation_upwards": correlation(lambda v: v[0] + v[1], 0.0),
    }  # fmt: skip


def carry(model: FaceModel, reader: PhotoReader, people: int) -> dict[str, object]:
    """Pictures carried over to other people, and read again."""
    random = np.random.default_rng(2)
    turns, values, count = [], [], 0
    for number in range(people):
        person, other = model.open_seed(_FIRST + number), model.open_seed(_FIRST + 1000 + number)
        (calm, *pictures) = painted(model, person, [(0.0, 0.0, {}), *random_asks(model, random, 2)])
        rest, again_rest = (try_to_read(model, reader, p) for p in (calm, painted(model, other, [(0.0, 0.0, {})])[0]))
        for picture in pictures:
            count += 1
            seen = try_to_read(model, reader, picture)
            if seen is None or rest is None or again_rest is None:
                continue
            wanted = transfer(model, other, seen.features, rest.features, relative=True)
            turned = (seen.yaw, seen.pitch, wanted.controls)
            again = try_to_read(model, reader, painted(model, other, [turned])[0])
            if again is not None:
                turns.append((again.yaw - seen.yaw, again.pitch - seen.pitch))
                shown = photo_map_of(model).read_controls(again.features, again_rest.features)
                values.append([[wanted.controls[n], shown[n]] for n in model.controls])
    check_seen(len(turns), count, model)
    V = np.array(values)
    gains = {n: float(np.polyfit(V[:, i, 0], V[:, i, 1], 1)[0]) for i, n in enumerate(model.controls)}
    return {"turn_mae": np.abs(turns).mean(axis=0).tolist(), "gain": gains, "pictures": len(turns)}


def film(model: FaceModel, reader: PhotoReader) -> dict[str, object]:
    """A turntable and a reel of expressions: film → CSV → the add-on's importer → rendered → read again."""
    person, names = model.open_seed(_FIRST), list(model.controls)
    turning: list[_Ask] = [(30.0 * float(np.sin(p)), 0.0, {}) for p in np.linspace(0, 2 * np.pi, 36)]
    reel = [(0.0, 0.0, {name: float(0.9 * np.sin(p) ** 2)}) for name in names for p in np.linspace(0, np.pi, 14)]
    asks = [*turning, *reel]
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "reel.mp4", Path(folder) / "take.csv"
        pictures = painted(model, person, asks)
        height, width, _ = pictures[0].shape
        writer = imageio_ffmpeg.write_frames(str(path), (width, height), fps=_FPS, quality=9, macro_block_size=1)
        writer.send(None)
        for picture in pictures:
            writer.send(np.ascontiguousarray(picture))
        writer.close()
        performer = Performer(model)
        take = read_take(performer, reader, open_film(path))
        write_take(take, performer, rest_of(take, performer, "median"), out)
        capture = read_live_link(out)
    found = retarget(capture, [Target(c.name, c.low, c.high, c.mirror) for c in controls_of(model)])
    yaw = capture.channels["yaw"]
    rendered = [
        (float(yaw[i]), 0.0, {n: float(found[n][i]) for n in names if n in found}) for i in range(len(take.times))
    ]
    again = read_frames(model, reader, painted(model, person, rendered))
    rows = np.array([(asks[n][0], *(asks[n][2].get(name, 0.0) for name in names)) for n in take.numbers])
    return {
        "pictures": take.pictures, "read": len(take.times),
        "yaw_correlation": float(np.corrcoef(rows[:36, 0], again[:36, 0])[0, 1]),
        "correlation": {n: float(np.corrcoef(rows[36:, 1 + i], again[36:, 1 + i])[0, 1]) for i, n in enumerate(names)},
    }  # fmt: skip


def read_frames(model: FaceModel, reader: PhotoReader, pictures: np.ndarray) -> np.ndarray:
    """[N, 1 + C]: yaw and controls of each, NaN where nothing is seen."""
    rows = np.full((len(pictures), 1 + len(model.controls)), np.nan)
    for row, picture in zip(rows, pictures, strict=True):
        if (reading := try_to_read(model, reader, picture)) is not None:
            row[:] = reading.yaw, *reading.controls.values()
    return rows


def speed(model: FaceModel, reader: PhotoReader) -> dict[str, object]:
    """Milliseconds of one core, the best of some, for a photograph and a tracked frame of 640 × 480."""
    torch.set_num_threads(1)
    picture = np.full((480, 640, 3), 90, np.uint8)
    face = doubled(torch.from_numpy(painted(model, model.open_seed(_FIRST), [(0.0, 0.0, {})]).copy()))[0].numpy()
    picture[100 : 100 + len(face), 200 : 200 + face.shape[1]] = face
    follow = Film(reader)
    follow.read(picture)

    def best(function: Callable[[], object]) -> float:
        spent = []
        for _ in range(12):
            began = time.process_time()
            function()
            spent.append(time.process_time() - began)
        return 1e3 * min(spent)

    return {"photo_ms": best(lambda: reader.read(picture)), "tracked_ms": best(lambda: follow.read(picture))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="default")
    parser.add_argument("--people", type=int, default=63)
    parser.add_argument("--only", default="speed,transfer,film,read")
    options = parser.parse_args()
    try:
        measure(options)
    except (BundleError, CaptureError, DetectorError, NoFaceError, SourceError, UnreadableModelError) as error:
        raise SystemExit(str(error)) from None


def measure(options: argparse.Namespace) -> None:
    """Prints the figures asked for, each as soon as it is known."""
    model, reader = load_face_model(resolve_bundle(options.model)), PhotoReader()
    verbs = {
        "read": lambda: read(model, reader, options.people),
        "transfer": lambda: carry(model, reader, options.people),
        "film": lambda: film(model, reader),
        "speed": lambda: speed(model, reader),
    }
    for name in options.only.split(","):
        if name not in verbs:
            raise SystemExit(f"there is no figure {name!r}: --only takes {', '.join(verbs)}")
        print(json.dumps({name: verbs[name]()}, indent=1), flush=True)


if __name__ == "__main__":
    main()
