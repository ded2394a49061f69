#!/usr/bin/env bash
# Stop the test cluster and remove all that it left; a cluster that is not ours (CLUSTER=external) stays untouched.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
case $(cluster_kind) in
  external) say "CLUSTER=external: that cluster is yours; nothing stopped" ;;
  kind) kind delete cluster --name treadle ;;
  k3d) k3d cluster delete treadle ;;
  node)
    exec 9> /run/treadle-cluster.lock && flock 9
    "$here/node-down.sh" 9>&-
    ;;
esac
