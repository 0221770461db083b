# SPDX-License-Identifier: Apache-2.0
"""How well people are made of real photographs: how near the face is met, and whether it then moves as asked.

``nice -n 19 python -m recipes.people.photographs FOLDER --record FILE.jsonl``: takes every nth picture of the folder,
in the order of their names, makes a tuned person of each, and reads what its edits show by the networks that read
photographs. What is done is in the record, one line a picture, so it goes on where it was stopped; the table is
printed at the end. Neither pictures nor names go into the table.

The figures of docs/people.md are of official portraits of members of the US Congress, which are in the public domain:
github.com/Hainish/congress-images-225x275, commit 20531e9, folder ``images``, a copy of
github.com/unitedstates/images, whose README says that the Government Printing Office has placed them there.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from effigy import api
from effigy.faces import FaceModel, Identity
from effigy.faces.photo_map import Features
from effigy.faces.picture_reading import NoFaceError, find_faces
from effigy.faces.transfer import photo_map_of
from effigy.landmarks.photo import PhotoReader, doubled
from effigy.people.making import make_person
from effigy.people.steps import finish
from effigy.picture_files import PictureFileError
from recipes.people.inputs import read_record, told

_TURNS = (-20.0, -10.0, 0.0, 10.0, 20.0)  # from where the photograph looks
_STRENGTH = 0.8
_EVERY = 36  # of 879: 24 or 25


def measure(model: FaceModel, reader: PhotoReader, file: Path) -> dict[str, Any]:
    """Measures one photograph."""
    began = time.process_time()
    made = finish(make_person(model, reader, file.read_bytes(), tuned=True, name=file.name))
    row: dict[str, Any] = dict(made.figures) | {"seconds": round(time.process_time() - began, 1)}
    untuned = replace(made.person, turns=None, shown=None, deltas={})
    for name, person in (("tuned", made.person), ("found", untuned)):
        row[name] = follows(model, reader, model.open_person(person))
    return row


def follows(model: FaceModel, reader: PhotoReader, who: Identity) -> dict[str, float]:
    """Measures how far the person's pictures do what is asked: slope of turns, each control's gain; 1 is as asked."""
    asks: list[tuple[float, dict[str, float]]] = [(turn, {}) for turn in _TURNS]
    asks += [(0.0, {name: _STRENGTH}) for name in model.controls]
    ws = [model.edit(who, who.pose.yaw + turn, who.pose.pitch, controls).ws for turn, controls in asks]
    photos = photo_map_of(model)
    seen = [_read(reader, picture) for picture in model.tuned_for(who).paint(torch.stack(ws))[..., :3]]
    rest, turned = seen[_TURNS.index(0.0)], seen[: len(_TURNS)]
    if rest is None:
        return {}
    read = [(turn, photos.read_pose(each)[0]) for turn, each in zip(_TURNS, turned, strict=True) if each is not None]
    found = {"turn": float(np.polyfit([x for x, _ in read], [y for _, y in read], 1)[0])} if len(read) > 2 else {}
    for name, each in zip(model.controls, seen[len(_TURNS) :], strict=True):
        if each is not None:
            found[name] = photos.read_controls(each, rest)[name] / _STRENGTH
    return {name: round(value, 3) for name, value in found.items()}


def _read(reader: PhotoReader, picture: np.ndarray) -> Features | None:
    """Reads a picture [H, W, 3], enlarged to twice its size."""
    try:
        return Features.of(find_faces(reader, doubled(torch.from_numpy(picture.copy())[None])[0].numpy())[0])
    except NoFaceError:
        return None


def table(rows: list[dict[str, Any]]) -> None:
    """Prints means and ranges."""
    used = [row for row in rows if "problem" not in row]
    print(f"{len(used)} photographs; {len(rows) - len(used)} of which no person could be made (the record says why)")
    columns: dict[str, list[float]] = {}
    for row in used:
        for name in ("psnr_face", "tuned_psnr_face", "seconds"):
            columns.setdefault(name, []).append(row[name])
        for kind in ("found", "tuned"):
            for name, value in row[kind].items():
                columns.setdefault(f"{kind}: {name}", []).append(value)
    for name, values in columns.items():
        low, middle, high = np.percentile(values, (0, 50, 100))
        print(f"{name}: mean {np.mean(values):.3g}, median {middle:.3g}, {low:.3g} … {high:.3g} ({len(values)})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--record", type=Path, required=True, help="what is known already, one line a picture")
    parser.add_argument("--model", default="default")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--every", type=int, default=_EVERY)
    parser.add_argument("--count", type=int, default=24)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if not given.folder.is_dir():
        raise SystemExit(f"{given.folder} is no folder: name one with photographs")
    files = sorted(path for path in given.folder.iterdir() if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    chosen = files[given.first :: given.every][: given.count]
    if not chosen:
        raise SystemExit(f"{given.folder} has {len(files)} pictures (.jpg, .jpeg, .png), and none is chosen of them")
    known = read_record(given.record)
    with told():
        model = api.load(given.model)
    reader = PhotoReader(model.generator.device)
    for file in chosen:
        if file.name in known:
            continue
        try:
            row = measure(model, reader, file)
        except (NoFaceError, PictureFileError) as error:
            row = {"problem": str(error)}
        known[file.name] = {"file": file.name, **row}
        with given.record.open("a") as record:
            record.write(json.dumps(known[file.name]) + "\n")
    table([known[file.name] for file in chosen])


if __name__ == "__main__":
    main()
