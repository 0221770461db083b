# SPDX-License-Identifier: Apache-2.0
"""``effigy page``: a page to look at a face model with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .console import fail
from .options import LandmarksOption, ModelOption, open_detector

if TYPE_CHECKING:
    from ..page.studio import Studio


def page(
    model: ModelOption = "default",
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 takes any free one.")] = 7860,
    landmarks: LandmarksOption = "embedded",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps (a Mac's GPU: untested).")] = "auto",
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Open a page in this machine's browser: pose, compare methods, read photographs, inspect basis and fit.

    Ctrl-C ends it.
    """
    from ..page.serve import PageError, serve

    def load() -> Studio:
        from .. import api
        from ..faces import BundleError, resolve_bundle
        from ..generators import GeneratorFileError
        from ..generators.load import resolve_device
        from ..page.studio import Studio

        try:
            resolve_device(device)
            return Studio(resolve_bundle(model), api.load(model, device), open_detector(landmarks, model))
        except (BundleError, GeneratorFileError) as error:
            raise fail(error) from None

    try:
        serve(load, port, open_browser=browser, announce=lambda address: typer.echo(f"{address} (Ctrl-C ends it)"))
    except PageError as error:
        raise fail(error) from None
    except KeyboardInterrupt:  # which is how it ends
        pass
