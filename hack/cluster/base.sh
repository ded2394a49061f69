#!/usr/bin/env bash
# Print the base image of operator, worker and server, made here where no registry answers.
#
# usage: base.sh     BASE=reference overrides
#
# The choice is kept under $TREADLE_CACHE/images/, so that a later call asks no network.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$here/buildah.sh"

if [ "${BASE:-}" ]; then echo "$BASE"; exit; fi

chosen=$images/base-$(cat "$here/base.sh" <(echo "$PYTHON_IMAGE $DEBIAN") | sha256sum | cut -c1-12)
if [ -f "$chosen" ] && buildah inspect --type image "$(< "$chosen")" > /dev/null 2>&1; then cat "$chosen"; exit; fi

debian() {
  need debootstrap=debootstrap
  local work=$images/rootfs reference=localhost/python:3.13-$DEBIAN
  rm -rf "$work" && mkdir -p "$work/context"
  say "building $reference with debootstrap"
  debootstrap --variant=minbase --include=ca-certificates,python3-venv,tzdata "$DEBIAN" "$work/root" > "$work/log" 2>&1 \
    || fail "debootstrap $DEBIAN failed: $(tail -n 1 "$work/log"); see $work/log, or set BASE to a Python 3.13 image"
  chroot "$work/root" apt-get clean
  rm -rf "$work/root/var/lib/apt/lists/"* "$work/root/usr/share/"{doc,man,locale,info} "$work/root/var/log/"*
  # Compiled here once: the images run as a user that cannot write beside the standard library.
  chroot "$work/root" python3.13 -m compileall -q --invalidation-mode unchecked-hash -x '/test/' /usr/lib/python3.13 > "$work/log"
  tar -C "$work/root" -cf "$work/context/root.tar" . && rm -rf "$work/root"
  printf 'FROM scratch\nADD root.tar /\nCMD ["python3.13"]\n' > "$work/context/Dockerfile"
  buildah bud -q -t "$reference" "$work/context" > /dev/null
  rm -rf "$work"
  echo "$reference"
}

if timeout 30 buildah pull -q "$PYTHON_IMAGE" > "$images/pull.log" 2>&1; then
  echo "$PYTHON_IMAGE" > "$chosen.new"
else
  debian > "$chosen.new"
fi
mv "$chosen.new" "$chosen"
cat "$chosen"
