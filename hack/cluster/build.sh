#!/usr/bin/env bash
# Build the cluster's binaries from Go modules; print the directory that holds links to all of them.
#
# usage: build.sh [BINARY...]     default: all
#
# Each build lies under $TREADLE_CACHE/<name>-<version>/ and is made once; a warm call takes milliseconds.
# 18 minutes with an empty Go cache on 2 cores. kube-apiserver and etcd come first: the API tests need no more.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/versions.env"
cache=${TREADLE_CACHE:-$HOME/.cache/treadle}
export CGO_ENABLED=0 GOFLAGS=-mod=mod GOWORK=off

kubernetes() { # command...
  local key=kubernetes-$KUBERNETES missing=() command
  for command in "$@"; do [ -x "$cache/$key/$command" ] || missing+=("$command"); done
  [ ${#missing[@]} -eq 0 ] && return
  echo "building ${missing[*]} $KUBERNETES" >&2
  local work=$cache/$key/module base=k8s.io/component-base/version
  mkdir -p "$work" && cd "$work"
  (cd / && go mod download "k8s.io/kubernetes@v$KUBERNETES")
  {
    # k8s.io/kubernetes cannot be installed by `go install`, since its go.mod replaces the staging modules by
    # directories; a module of our own that pins them builds all commands from one cache.
    printf 'module cluster\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes v%s\n\nreplace (\n' "$KUBERNETES"
    sed -n 's#^\t\(k8s.io/[a-z0-9.-]*\) => ./staging/.*#\t\1 => \1 v0.'"${KUBERNETES#1.}"'#p' \
      "$(go env GOMODCACHE)/cache/download/k8s.io/kubernetes/@v/v$KUBERNETES.mod"
    printf ')\n'
  } > go.mod
  for command in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
    go get -tool "k8s.io/kubernetes/cmd/$command@v$KUBERNETES"
  done
  go build -trimpath -ldflags "-s -w -X $base.gitVersion=v$KUBERNETES -X $base.gitMajor=1 -X $base.gitMinor=$(cut -d. -f2 <<< "$KUBERNETES")" \
    -o "$cache/$key/new/" "${missing[@]/#/k8s.io/kubernetes/cmd/}"
  mv "$cache/$key/new/"* "$cache/$key/" && rmdir "$cache/$key/new"
}

module() { # binary version package
  local key=$1-$2
  [ -x "$cache/$key/$1" ] && return
  echo "building $1 $2" >&2
  mkdir -p "$cache/$key/module" && cd "$cache/$key/module"
  [ -f go.mod ] || go mod init tool 2> /dev/null
  go get -tool "$3@$2"
  go build -trimpath -ldflags "-s -w" -o "$cache/$key/new" "$3"
  mv "$cache/$key/new" "$cache/$key/$1"
}

build() {
  case $1 in
    etcd) module etcd "$ETCD" go.etcd.io/etcd/server/v3 ;;
    versitygw) module versitygw "$VERSITYGW" github.com/versity/versitygw/cmd/versitygw ;;
    helm) module helm "$HELM" helm.sh/helm/v4/cmd/helm ;;
    coredns) module coredns "$COREDNS" github.com/coredns/coredns ;;
    kube*) kubernetes "$1" ;;
    *) echo "build.sh: no such binary: $1" >&2; exit 2 ;;
  esac
}

mkdir -p "$cache"
exec 9> "$cache/build.lock"; flock 9 # two checkouts may ask at once
if [ $# -eq 0 ]; then
  set -- etcd versitygw helm coredns
  (kubernetes kube-apiserver kubectl)
  (kubernetes kube-controller-manager kube-scheduler kubelet kube-proxy)
fi
for binary in "$@"; do (build "$binary"); done
mkdir -p "$cache/bin"
for directory in "kubernetes-$KUBERNETES" "etcd-$ETCD" "versitygw-$VERSITYGW" "helm-$HELM" "coredns-$COREDNS"; do
  find "$cache/$directory" -maxdepth 1 -type f -perm -u+x -exec ln -sf -t "$cache/bin" {} + 2> /dev/null || true
done
echo "$cache/bin"
