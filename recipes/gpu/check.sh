#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks Effigy on a CUDA machine, within eight minutes, and writes docs/benchmarks-gpu.md:
#
#   recipes/gpu/check.sh [OUT.md]
#
# Installs what the machine's Python lacks into .venv-gpu (from the folder WHEELS, without a network, if that is set: filled as
# Install Backend's *Copy What to Carry Over* says, and with hatchling, editables, pytest, pytest-timeout and hypothesis), runs the
# tests marked cuda, then recipes/gpu/check.py. OFFICIAL names a checkout of NVlabs/stylegan3 to compare speeds with.
# DEVICE=cpu tries all of it anywhere; the page then says so, and is out/benchmarks-cpu.md. PYTHON is the interpreter, BUDGET the seconds in all.
set -eu
device=${DEVICE:-cuda} budget=${BUDGET:-480} started=$(date +%s)
case $device in cuda*) page=docs/benchmarks-gpu.md ;; *) page=out/benchmarks-$device.md ;; esac # the document is of a GPU alone
page=${1:-$page}
case $page in /*) ;; *) page=$PWD/$page ;; esac
cd "$(dirname "$0")/../.."
left() { echo $((budget - $(date +%s) + started)); }
python=${PYTHON:-}
if [ -z "$python" ]; then
  [ -x .venv-gpu/bin/python ] || python3 -m venv --system-site-packages .venv-gpu  # the machine's own PyTorch, if it has one
  source=${WHEELS:+--no-index --find-links $WHEELS --no-build-isolation}
  # shellcheck disable=SC2086  several words
  [ -z "${WHEELS:-}" ] || .venv-gpu/bin/python -m pip install --quiet --no-index --find-links "$WHEELS" hatchling editables  # build -e .
  # shellcheck disable=SC2086
  timeout "$(left)" .venv-gpu/bin/python -m pip install --quiet --disable-pip-version-check $source -e . pytest pytest-timeout hypothesis
  python=.venv-gpu/bin/python
fi
tests=0
if [ "$device" = cuda ]; then
  timeout "$(left)" "$python" -m pytest -q -p no:cacheprovider -m cuda tests/backend --junitxml out/tests/cuda.xml || tests=$?
fi
"$python" -m recipes.gpu.check --device "$device" --out "$page" --seconds "$(left)" --tests "$tests" \
  ${OFFICIAL:+--official "$OFFICIAL"} ${SIZES:+--sizes $SIZES}
exit "$tests"
