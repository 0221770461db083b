# SPDX-License-Identifier: Apache-2.0
"""Painting previews as fast as the machine can, where a final picture is painted exactly.

A final comes from the plain network in float32: the same bits whenever it is asked for. A preview may come
from compiled code, from another precision (float16 on CUDA; bfloat16 where the CPU and the generator are fit
for it: a mean error of 0.4 % of the picture's contrast), or, until those are ready, from the plain network too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog
import torch
from torch import Tensor

from ...threads import limited_threads
from ..checkpoints import GeneratorFileError
from ..generator import Generator
from ..load import load_generator
from ..networks.network import Network
from ..networks.operations import has_matrix_units
from .compiled import Compilation, cache_folder, is_private, load_compiled, package_path

log = structlog.get_logger()

Paint = Callable[[Tensor], Tensor]

WORTH_COMPILING = 200  # previews: somebody works with this generator, so that half a minute's work will pay


class PreviewPainter:
    """Paints w+ [1, num_ws, w_dim] → picture [1, C, H, W]. It may become faster from one call to the next.

    ``is_exact`` says whether a final would equal the picture painted last.
    """

    def __init__(self, generator: Network, path: Path, sha256: str) -> None:
        """``path`` is the file that ``generator`` was loaded from, with the checksum ``sha256``.

        A package of an earlier session is used at once. Where the file is another one by now, previews stay plain.
        """
        self._plain: Paint = generator.synthesize
        self._paint: Paint = self._plain
        self.is_exact = True
        self._compilation: Compilation | None = None
        self._compile_after: int | None = None
        self._path, self._sha256 = path, sha256
        if generator.device.type == "cuda":
            self._record(generator.device)
            return
        if generator.device.type != "cpu":  # what is compiled is for the processor
            return
        self._dtype = preview_dtype(generator)
        self._package = package_path(sha256, self._dtype, cache_folder())
        if not (self._package.is_file() and self._use_compiled()):
            self._compile_after = WORTH_COMPILING

    @property
    def state(self) -> str:
        """ "plain", "compiling" (and plain meanwhile), or "fast"."""
        if self._compilation is not None:
            return "compiling"
        return "plain" if self._paint == self._plain else "fast"

    def __call__(self, ws: Tensor) -> Tensor:
        if self._compilation is not None and self._compilation.ended():
            package, self._compilation = self._compilation.package(), None
            if package is not None:
                self._use_compiled()
        elif self._compile_after is not None:
            self._compile_after -= 1
            if self._compile_after == 0:
                self._compile_after = None
                self._start_compiling()
        # Two threads that wait for each other at every layer would both wait for the compiler's share of a core.
        spared = None if self._compilation is None else max(torch.get_num_threads() - 1, 1)
        with limited_threads(spared), torch.inference_mode():
            picture = self._paint(ws)
        self.is_exact = self._paint == self._plain
        return picture

    def close(self) -> None:
        """Stops a compilation that is still running."""
        if self._compilation is not None:
            self._compilation.stop()
            self._compilation = None

    def _record(self, device: torch.device) -> None:
        try:
            half = load_generator(self._path, str(device), torch.float16, sha256=self._sha256)
            self._paint = Graphed(half)
        except (RuntimeError, GeneratorFileError) as error:  # an old driver, no memory for a second set of weights
            log.warning("previews are painted without a CUDA graph", error=str(error)[:300])

    def _start_compiling(self) -> None:
        if is_private(self._package.parent):
            self._compilation = Compilation(self._path, self._dtype, self._package, sha256=self._sha256)
        else:
            log.warning("previews stay uncompiled: others may write there", folder=str(self._package.parent))

    def _use_compiled(self) -> bool:
        package = self._package
        if not is_private(package.parent):
            return False
        try:
            self._paint = load_compiled(package)
        except (RuntimeError, OSError, AttributeError, TypeError) as error:
            log.warning("a compiled generator cannot be used", package=str(package), error=str(error)[:300])
            package.unlink(missing_ok=True)
            return False
        log.info("previews are compiled", package=str(package))
        return True


class Graphed:
    """A generator's synthesis on CUDA as one recorded graph, without the cost of launching its kernels."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator  # the graph reads its weights at every replay
        self._ws = generator.map(torch.zeros(1, generator.z_dim, device=generator.device))
        with torch.cuda.device(generator.device), torch.no_grad():
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):  # lets cuDNN choose its algorithms before they are recorded
                    generator.synthesize(self._ws)
            torch.cuda.current_stream().wait_stream(stream)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._picture = generator.synthesize(self._ws)

    def __call__(self, ws: Tensor) -> Tensor:
        self._ws.copy_(ws)
        self._graph.replay()
        return self._picture.clone()


def preview_dtype(generator: Network) -> torch.dtype:
    """Returns the fastest type in which a CPU paints previews of ``generator`` with a mean error of at most 0.5 % of
    contrast.
    """
    fit = generator.bfloat16_previews and has_native_bfloat16()
    return torch.bfloat16 if fit else torch.float32


def has_native_bfloat16() -> bool:
    """Returns whether this CPU multiplies bfloat16 in hardware. Where it emulates it, float32 is faster."""
    return has_matrix_units() or bool(torch.cpu._is_avx512_bf16_supported())
