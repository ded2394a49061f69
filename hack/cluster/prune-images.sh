#!/usr/bin/env bash
# Remove our images but those of the five tags built last, and what nobody refers to.
#
# usage: prune-images.sh TAG     TAG counts as built now
#
# Five, since other checkouts use the same store; kubelet collects nothing here, see node-up.sh.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$here/buildah.sh"
source "$here/node.sh"
tags=$images/tags
touch "$tags"
{ grep -vxF "$1" "$tags" || true; echo "$1"; } | tail -n 5 > "$tags.new" && mv "$tags.new" "$tags"
old() { grep -E '/treadle-(operator|worker|server|storage):dev-' | grep -vFf "$tags" || true; }
buildah images --format '{{.Name}}:{{.Tag}}' | old | while read -r image; do buildah rmi "$image" > /dev/null; done
if [ -S "$socket" ]; then ctr_of images ls -q | old | xargs -r ctr -a "$socket" -n k8s.io images rm > /dev/null; fi
