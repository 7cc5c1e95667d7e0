#!/usr/bin/env bash
# One lease of a GPU machine, resumable: render with all cores, train, evaluate, and leave the model in small parts.
# Usage: scripts/gpu_job.sh DATA OUT [MINUTES]
#   DATA      folder that stays on the machine between calls: data, latents, checkpoints.
#   OUT       folder that is taken home: log, metrics, report, and the model as a tar cut into parts of at most 16 MB.
#   MINUTES   how long this call may train (default 8: calls are limited to ten minutes).
set -euo pipefail

data=${1:?usage: scripts/gpu_job.sh DATA OUT [MINUTES]}
out=${2:?usage: scripts/gpu_job.sh DATA OUT [MINUTES]}
minutes=${3:-8}
mkdir -p "$data" "$out"
exec > >(tee -a "$out/log.txt") 2>&1
nvidia-smi --query-gpu=name,memory.total --format=csv,noheader || echo "no GPU here: running on the CPU"

bash "$(dirname "$0")/train_nano.sh" "$data" "$minutes"
if [ -d "$data/model" ]; then
    flowact evaluate run --model "$data/model" --data "$data/data" --out "$out/report" --clips 10
    tar -C "$data" -cf - model | split -b 16000000 - "$out/model.tar.part-"
fi
find "$data/runs" -name metrics.jsonl -exec tail -n 1 {} +
