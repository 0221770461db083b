# SPDX-License-Identifier: Apache-2.0
"""The face models that come with Effigy, loaded when they are needed.

So a .blend of an earlier version opens with the model that its faces were made with.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from effigy_protocol.messages import KnownModel

from .bundle import load_face_model
from .embedded import DEFAULT_BUNDLE, FIRST_BUNDLE, name_of_embedded
from .face import FaceModel
from .header import UNCORRECTED, WITHOUT_LOOKS, BundleError, model_id


@dataclass(frozen=True, slots=True)
class Shipped:
    """An embedded bundle, read in its own format or as an earlier one was read, because its edits differed then."""

    name: str  # as users see it
    folder: Path
    as_format: int | None = None


_TABLE = (
    Shipped("Effigy's default", DEFAULT_BUNDLE),
    Shipped("Effigy's first default", FIRST_BUNDLE),
    Shipped("Effigy's first default, before edits corrected it", FIRST_BUNDLE, UNCORRECTED),
    Shipped("Effigy's first default, before edits kept looks", FIRST_BUNDLE, WITHOUT_LOOKS),
)


def shipped() -> dict[str, Shipped]:
    """Returns the face models that come with Effigy, by id; one whose files are damaged is left out."""
    known = {}
    for entry in _TABLE:
        with contextlib.suppress(BundleError, OSError):
            known[model_id(entry.folder, entry.as_format)] = entry
    return known


def chosen_by(model: str) -> str | None:
    """Returns the name by which users choose the shipped model with this id, as in ``--model``; None if there is none.

    A bundle that is read as an earlier format was read has none: only faces that were made with it open it.
    """
    entry = shipped().get(model)
    return name_of_embedded(entry.folder) if entry is not None and entry.as_format is None else None


class FaceModels:
    """The served model and the shipped ones, each of which is loaded when its first face is opened."""

    def __init__(self, served: FaceModel) -> None:
        self.served = served
        self._shipped = {model: entry for model, entry in shipped().items() if model != served.model_id}
        self._loaded = {served.model_id: served}

    @property
    def others(self) -> tuple[KnownModel, ...]:
        """The models besides the served one whose faces can be opened."""
        return tuple(KnownModel(model, entry.name) for model, entry in self._shipped.items())

    def get(self, model: str) -> FaceModel | None:
        """Returns the model with this id, or None for an unknown one. Raises BundleError."""
        if model not in self._loaded and model in self._shipped:
            entry, device = self._shipped[model], str(self.served.generator.device)
            self._loaded[model] = load_face_model(
                entry.folder, device, fast_previews=self.served.painter.is_fast, as_format=entry.as_format
            )
        return self._loaded.get(model)

    def close(self) -> None:
        """Stops background work that prepares faster previews."""
        for model in self._loaded.values():
            model.close()
