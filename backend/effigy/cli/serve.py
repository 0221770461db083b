# SPDX-License-Identifier: Apache-2.0
"""``effigy serve``: the backend that Blender talks to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import fail
from .options import ModelOption


def serve(
    model: ModelOption = "default",
    host: Annotated[str, typer.Option(help="A loopback address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port; 0 takes any free one.")] = 0,
    connection_file: Annotated[Path | None, typer.Option(help="The connection file to write (mode 0600).")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps (a Mac's GPU: untested).")] = "auto",
    parent_pid: Annotated[int | None, typer.Option(min=1, help="Exit when this process is gone.")] = None,
    idle_exit: Annotated[
        float, typer.Option(min=0, help="Exit after this many seconds without a client; 0: never.")
    ] = 0.0,
    log_folder: Annotated[
        Path | None,
        typer.Option(
            envvar="EFFIGY_LOG_FOLDER", help="Keep the log in a new file there, of bounded size, not on stderr."
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option(help="Log more.")] = False,
) -> None:
    """Run the backend that Blender talks to, until Ctrl-C."""
    from ..faces import resolve_bundle
    from ..generators import GeneratorFileError
    from ..generators.load import resolve_device
    from ..service.endpoint import EndpointError, limit_connections
    from ..service.logs import configure_logs
    from ..service.serve import ServeOptions, ServiceError, end_now
    from ..service.serve import serve as run

    try:
        configure_logs(verbose=verbose, folder=log_folder)
    except OSError as error:
        raise fail(f"the log cannot be written ({error}): choose another --log-folder") from None
    options = ServeOptions(resolve_bundle(model), host, port, connection_file, device, parent_pid, idle_exit)
    try:
        resolve_device(device)
        limit_connections()
        run(options)
    except (GeneratorFileError, EndpointError) as error:
        raise fail(error) from None
    except ServiceError as error:
        ended = fail(error, error.exit_code)
        if error.is_stuck:
            end_now(error.exit_code)
        raise ended from None
    except OSError as error:
        raise fail(f"the connection file cannot be written ({error}): choose another with --connection-file") from None
