#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Renders and trains the embedded default on a machine with a GPU, within a given time. Called again with the same OUT and
# the same numbers it goes on where it stopped; OUT/generator.safetensors is written whenever training stops.
#
#   recipes/gpu/train_default.sh HEAD OUT [PAIRED_RENDERS] [PICTURES] [SECONDS_OF_TRAINING]
#
# HEAD is what `python -m recipes.demo_face bake` wrote. 16 cores render some 190 pictures a second at 128 × 128. What the
# machine's Python lacks is installed from the folder WHEELS, if that is set: structlog and platformdirs are pure Python.
# DEVICE=cpu tries it anywhere; EXTRA is given to train, for instance EXTRA="--start generator.safetensors --quarter 0.1".
set -eu
head=$1 out=$2 renders=${3:-40000} pictures=${4:-800000} seconds=${5:-400} device=${DEVICE:-cuda}
cd "$(dirname "$0")/../.."
mkdir -p "$out"
[ -z "${WHEELS:-}" ] || python3 -m pip install --quiet --no-index --find-links "$WHEELS" structlog platformdirs
batch=$([ "$device" = cpu ] && echo 16 || echo 64)
precision=$([ "$device" = cpu ] && echo --no-bfloat16 || echo --bfloat16)
python3 -m recipes.demo_face render "$head" "$out/renders" --count "$renders" --pairs
ended=0
# shellcheck disable=SC2086  EXTRA is several words
timeout "$seconds" python3 -m recipes.demo_face train "$out/renders" --checkpoint "$out/train.pt" \
    --out "$out/generator.safetensors" --pictures "$pictures" --device "$device" --batch "$batch" "$precision" \
    --no-compiled ${EXTRA:-} || ended=$?
if [ "$ended" = 124 ]; then  # its time is up
    python3 -m recipes.demo_face export "$out/train.pt" "$out/generator.safetensors"
elif [ "$ended" != 0 ]; then
    exit "$ended"
fi
python3 -m recipes.demo_face report "$head" "$out/generator.safetensors" "$out/report"
cat "$out/report/figures.json"
