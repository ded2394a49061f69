# Where things lie, which cluster this machine gets, and how Debian packages come. Sourced by the scripts beside it.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
source "$here/versions.env"
cache=${TREADLE_CACHE:-$HOME/.cache/treadle}
# One cluster a machine, outside every checkout, so that a second clone finds it.
state=/var/lib/treadle-cluster
node=node1

say() { echo "$*" >&2; }
fail() { say "$*"; exit 1; }

# external: the current kubeconfig context; kind or k3d: where a Docker engine answers; node: a cluster of our own.
cluster_kind() {
  if [ "${CLUSTER:-}" ]; then
    case $CLUSTER in
      external | kind | k3d | node) echo "$CLUSTER" ;;
      *) fail "CLUSTER=$CLUSTER: found '$CLUSTER', expected external, kind, k3d or node; leave it unset to let the machine decide" ;;
    esac
  elif command -v docker > /dev/null && docker info > /dev/null 2>&1 && command -v kind > /dev/null; then
    echo kind
  elif command -v docker > /dev/null && docker info > /dev/null 2>&1 && command -v k3d > /dev/null; then
    echo k3d
  else
    echo node
  fi
}

kubeconfig_of() { # kind of cluster
  case $1 in
    external) echo "${KUBECONFIG:-$HOME/.kube/config}" ;;
    kind | k3d) echo "$cache/$1.kubeconfig" ;;
    node) echo "$state/admin.kubeconfig" ;;
  esac
}

need() { # path-or-command=package...: install the packages of what is missing
  local pair missing=()
  for pair in "$@"; do
    command -v "${pair%%=*}" > /dev/null || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -eq 0 ] && return
  command -v apt-get > /dev/null || fail "${missing[*]} missing and this is no Debian; install them, or use CLUSTER=external, kind or k3d"
  [ "$(id -u)" = 0 ] || fail "${missing[*]} missing; run 'sudo apt-get install ${missing[*]}', or 'make' as root"
  say "installing ${missing[*]}"
  # A foreign source that cannot be reached must not stop us: whether the packages come is what counts.
  apt-get update -qq >&2 || true
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >&2
}
