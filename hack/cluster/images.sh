#!/usr/bin/env bash
# Build the images operator, worker, server and storage, load them into the test cluster, and print their tag.
#
# usage: images.sh [--tag]     --tag: print the tag only, build nothing
#
# Names: localhost/treadle-{operator,worker,server,storage}:<tag>; the tag is a hash of all that goes in. BASE overrides
# the base image. With CLUSTER=external the images are pushed to REGISTRY instead, and named after it.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$here/buildah.sh"
targets=(operator worker server storage)
kind=$(cluster_kind)
registry=localhost
if [ "$kind" = external ]; then
  registry=${REGISTRY:-}
  [ "$registry" ] || fail "CLUSTER=external: REGISTRY is not set; set it to a registry that you can push to and the cluster can pull from"
fi

base=$("$here/base.sh")
inputs() {
  cd "$root"
  find Dockerfile pyproject.toml uv.lock README.md -maxdepth 0
  find operator -type f ! -name '*.pyc' ! -path '*/__pycache__/*' | LC_ALL=C sort
}
# A letter first: a tag of digits alone, or like 1e10, would reach Helm as a number.
tag=dev-$({ echo "$base $VERSITYGW $UV"; cd "$root" && inputs | xargs sha256sum; } | sha256sum | cut -c1-12)
if [ "${1:-}" = --tag ]; then echo "$tag"; exit; fi

is_loaded() { # target
  case $kind in
    node) ctr_of images ls -q "name==$registry/treadle-$1:$tag" 2> /dev/null | grep -q . ;;
    *) [ -f "$images/loaded-$kind/$1:$tag" ] ;;
  esac
}
load() { # target
  local reference=$registry/treadle-$1:$tag archive=$images/$1.tar
  say "loading $reference"
  case $kind in
    external) buildah push -q "$reference" ;;
    *)
      rm -f "$archive"
      buildah push -q "$reference" "docker-archive:$archive:$reference"
      case $kind in
        node) ctr_of images import "$archive" > /dev/null ;;
        kind) kind load image-archive --name treadle "$archive" ;;
        k3d) k3d image import --cluster treadle "$archive" ;;
      esac
      rm -f "$archive"
      ;;
  esac
  if [ "$kind" != node ]; then mkdir -p "$images/loaded-$kind" && : > "$images/loaded-$kind/$1:$tag"; fi
}

exec 9> "$images/build.lock" && flock 9 # two checkouts may ask at once
[ "$kind" != node ] || source "$here/node.sh"
missing=()
for target in "${targets[@]}"; do is_loaded "$target" || missing+=("$target"); done
if [ ${#missing[@]} -eq 0 ]; then echo "$tag"; exit; fi

context=$images/context
rm -rf "$context" && mkdir -p "$context"
(cd "$root" && inputs | xargs cp --parents -pt "$context")
# What this machine needs to reach its package index, read-only and in build stages only: the images take files from
# those stages, never a layer.
mounts=()
for path in /etc/ssl/certs /etc/pip.conf /etc/uv/uv.toml; do
  [ ! -e "$path" ] || mounts+=(--volume "$path:$path:ro")
done
downloads=${UV_CACHE_DIR:-$HOME/.cache/uv}
mkdir -p "$downloads" && mounts+=(--volume "$downloads:/var/cache/uv:rw")
for target in "${missing[@]}"; do
  reference=$registry/treadle-$target:$tag
  if ! buildah inspect --type image "$reference" > /dev/null 2>&1; then
    say "building $reference"
    directory=$context
    if [ "$target" = storage ]; then directory=$context/storage && mkdir -p "$directory" && cp "$("$here/build.sh" versitygw)/versitygw" "$directory"; fi
    buildah bud -q --layers --network host "${mounts[@]}" --build-arg "BASE=$base" --build-arg "UV=$UV" --target "$target" \
      -f "$context/Dockerfile" -t "$reference" "$directory" > "$images/$target.log" 2>&1 9>&- \
      || fail "building $reference failed: $(grep -v '^$' "$images/$target.log" | tail -n 3 | tr '\n' ' '); see $images/$target.log"
  fi
  load "$target"
done
"$here/prune-images.sh" "$tag" 9>&-
echo "$tag"
