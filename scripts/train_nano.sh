#!/usr/bin/env bash
# The default model from nothing: render people, train codec, hearing, words, motion, backbone and student, and join them.
# Usage: scripts/train_nano.sh WORK [MINUTES]
#   WORK      folder for data and runs; a second call goes on where the first one stopped.
#   MINUTES   training time to share out (default 1200: twenty hours of two cores).
# Environment: FLOWACT_ASSETS (character data), IDENTITIES (1000), TAKES (1), PERFORMANCES (8000), WORKERS (all cores). A thousand
# people teach more than as many takes of fewer (docs/log.md); their decoded frames need 32 GB of disk.
set -euo pipefail

work=${1:?usage: scripts/train_nano.sh WORK [MINUTES]}
minutes=${2:-1200}
identities=${IDENTITIES:-1000}
takes=${TAKES:-1}
performances=${PERFORMANCES:-8000}
workers=${WORKERS:-$(nproc)}
mkdir -p "$work"

share() { python3 -c "print(max(1, round($minutes * $1, 2)))"; }
train() { flowact train "$1" --data "$2" --out "$3" --minutes "$4" --resume; }

flowact studio render "$work/data" --identities "$identities" --takes "$takes" --frames 160 \
    --busy-hands 0.4 --loose-faces 0.15 --workers "$workers"
[ -f "$work/speech/strange_voice.npz" ] || python -m recipes.audio corpus "$work/speech" --workers "$workers"
train audio.hearing "$work/speech" "$work/runs/audio" "$(share 0.03)"
train text.reading "$work/data" "$work/runs/text" "$(share 0.01)"
[ -f "$work/scores/val/store.json" ] || python -m recipes.perform "$work/runs" "$work/scores" --clips "$performances" --workers "$workers"
train motion.moving "$work/scores" "$work/runs/motion" "$(share 0.06)"
train nano.codec "$work/data" "$work/runs/codec" "$(share 0.22)"
[ -f "$work/latents/val/store.json" ] || python -m recipes.encode "$work/data" "$work/runs" "$work/latents"
train decoder.telling "$work/latents" "$work/runs/told" "$(share 0.11)"
train nano.backbone "$work/latents" "$work/runs/backbone" "$(share 0.33)"
train nano.student "$work/latents" "$work/runs/student" "$(share 0.07)"
train decoder.drawing "$work/latents" "$work/runs/decoder" "$(share 0.08)"
train decoder.closeup "$work/latents" "$work/runs/closeup" "$(share 0.09)"
python -m recipes.assemble "$work/runs" "$work/model"
