#!/usr/bin/env bash
# Print the archive of the pause image, built here since no registry need answer.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
archive=$cache/images/pause-$PAUSE.tar
if [ -f "$archive" ]; then echo "$archive"; exit; fi
source "$here/buildah.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$work/pause" "$here/pause/main.go"
printf 'FROM scratch\nCOPY pause /pause\nUSER 65535\nENTRYPOINT ["/pause"]\n' > "$work/Dockerfile"
buildah bud -q -t "localhost/pause:$PAUSE" "$work" > /dev/null
buildah push -q "localhost/pause:$PAUSE" "docker-archive:$archive.new:localhost/pause:$PAUSE"
mv "$archive.new" "$archive"
echo "$archive"
