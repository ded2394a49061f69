#!/usr/bin/env bash
# Find or start the test cluster, and print the line that makes kubectl use it.
#
# CLUSTER=external uses the current kubeconfig context; kind, k3d and node ask for that kind; unset, the machine decides.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
kind=$(cluster_kind)
kubeconfig=$(kubeconfig_of "$kind")

case $kind in
  external)
    kubectl=$(command -v kubectl || echo "$("$here/build.sh" kubectl)/kubectl")
    "$kubectl" get --raw /readyz > /dev/null || fail "CLUSTER=external: context '$("$kubectl" config current-context 2> /dev/null)' of $kubeconfig does not answer; correct KUBECONFIG or the context"
    ;;
  kind)
    kind get clusters 2> /dev/null | grep -qx treadle || kind create cluster --name treadle --kubeconfig "$kubeconfig" ${KIND_IMAGE:+--image "$KIND_IMAGE"}
    kind export kubeconfig --name treadle --kubeconfig "$kubeconfig" 2> /dev/null
    ;;
  k3d)
    k3d cluster get treadle > /dev/null 2>&1 || k3d cluster create treadle --wait --kubeconfig-update-default=false ${K3D_IMAGE:+--image "$K3D_IMAGE"}
    k3d kubeconfig get treadle > "$kubeconfig"
    ;;
  node)
    exec 9> /run/treadle-cluster.lock && flock 9 # two checkouts may ask at once
    source "$here/node.sh"
    if [ -d "$state" ] && ! wrong=$(is_healthy); then
      say "the cluster is broken ($wrong): starting it afresh"
      "$here/node-down.sh"
    fi
    [ -d "$state" ] || "$here/node-up.sh" 9>&-
    ;;
esac
echo "export KUBECONFIG=$kubeconfig"
