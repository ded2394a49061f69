#!/usr/bin/env bash
# Stop the cluster on this machine and remove all that it left; binaries and built images stay.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$here/node.sh"
[ -d "$state" ] || exit 0

gone() { # pid...: kill, and wait until none is left
  [ $# -gt 0 ] || return 0
  kill -KILL "$@" 2> /dev/null || true
  for _ in $(seq 100); do kill -0 "$@" 2> /dev/null || return 0; sleep 0.05; done
  fail "processes $* do not die"
}
daemons=$(IFS='|'; echo "${programs[*]}")
gone $(pids_of "$daemons")                                        # first, so that nothing starts a pod again
gone $(for directory in $(cgroups); do find "$directory" -name cgroup.procs -exec cat {} + 2> /dev/null || true; done | sort -u)
gone $(pids_of 'containerd-shim[^ ]*')

awk -v state="$state/" 'index($2, state) == 1 {print $2}' /proc/mounts | sort -r | xargs -r -n1 umount -l
if ip link show "$bridge" > /dev/null 2>&1; then ip link delete "$bridge"; fi
for tool in iptables ip6tables; do
  for table in filter nat mangle; do
    rules=$("$tool-save" -t "$table" 2> /dev/null) || continue # no such table
    if grep -qE 'KUBE-|CNI-' <<< "$rules"; then grep -vE 'KUBE-|CNI-' <<< "$rules" | "$tool-restore" -T "$table"; fi
  done
done
for directory in $(cgroups); do find "$directory" -depth -type d -exec rmdir {} + 2> /dev/null || true; done
find /var/log/containers -lname "$state/*" -delete 2> /dev/null || true
rm -f /var/lib/cni/results/treadle-*
rm -rf "$state"
