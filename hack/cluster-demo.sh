#!/usr/bin/env bash
# The whole loop on the cluster of the current kubeconfig: data, model, prediction, shift, retrained champion.
#
# A former demo is removed first. What it leaves running can be looked at: kubectl get treadle --namespace demo
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
namespace=demo
flights() { .venv/bin/python hack/flights.py "$@"; }
told() { printf '\n\033[1m%4d s  %s\033[0m\n' "$SECONDS" "$*"; }
shown() { printf '$ %s\n' "$*"; "$@"; }
of() { kubectl get --namespace "$namespace" "$1" --output "jsonpath=$2"; }

until_true() { # seconds, what is awaited, command...
  local until=$((SECONDS + $1)) what=$2 line=
  shift 2
  until "$@"; do
    if [ "$SECONDS" -gt "$until" ]; then
      echo "not within the time: $what" >&2
      kubectl describe --namespace "$namespace" treadle >&2
      exit 1
    fi
    # One line whenever more than an age has changed, so that the wait tells what happens.
    local now
    now=$(kubectl get --namespace "$namespace" treadle --no-headers 2> /dev/null | sed -E 's/\.treadle\.dev//; s/ +/ /g; s/( [0-9]+[dhms]([0-9]+[hms])?)+ ?$//')
    if [ "$now" != "$line" ]; then diff <(echo "$line") <(echo "$now") | sed -n 's/^> /        /p' || true; line=$now; fi
    sleep 2
  done
}
has() { [ "$(of "$1" "{.status.conditions[?(@.type==\"$2\")].status}")" = True ]; }
asked_for() { [ "$(of trainingjobs '{.items[?(@.spec.trigger.kind=="Monitor")].metadata.name}')" ]; }
champion() { of mdep/flights-late '{.status.champion.digest}'; }
is_replaced() { [ "$(champion)" != "$former" ]; }

told "Install the chart, with a bucket and keys to try it"
helm uninstall treadle --namespace treadle-system --ignore-not-found --wait > /dev/null
kubectl delete namespace "$namespace" --ignore-not-found > /dev/null
shown helm upgrade --install treadle charts/treadle --namespace treadle-system --create-namespace --wait --timeout 180s \
  --set "image.registry=${TREADLE_IMAGE_REGISTRY:-localhost}" --set "image.tag=$TREADLE_IMAGE_TAG" --set quickstart.enabled=true > /dev/null

told "Three months of flights arrive in the bucket, and four files in the cluster"
flights upload --months 1-3
shown kubectl apply --filename manifests/quickstart/
until_true 300 "a version of the data" has dsrc/flights Ready
until_true 300 "a first model" has tj/flights-late-first Complete
until_true 180 "a serving champion" has mdep/flights-late Ready
shown kubectl get --namespace "$namespace" treadle
former=$(champion)

told "Ask it: will this flight be late?"
flights ask

told "The world shifts: callers send the hour in UTC. Labels of April and May arrive as they are known"
flights upload --months 4-5 --utc
flights replay --month 4 --shift --rate 12 > /dev/null &
replay=$!
trap 'kill $replay 2> /dev/null || true' EXIT
until_true 420 "the Monitor detects the shift" has mon/flights-late DriftDetected
of mon/flights-late '{.status.summary}' && echo
until_true 300 "a run that the Monitor asked for" asked_for
until_true 600 "a better model is champion" is_replaced
kill $replay 2> /dev/null || true

told "A better model is live, with no hand on it"
shown kubectl get --namespace "$namespace" treadle
of mdep/flights-late '{range .status.decisions[*]}{.time}{"  "}{.action}{"  "}{.message}{"\n"}{end}' | sort
flights ask | tail -n 4
