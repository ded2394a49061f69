# What starting, checking and stopping a cluster on this machine have in common. Sourced after lib.sh.
socket=$state/containerd.sock
bridge=treadle0
pods=10.244.0.0/24
cgroup=treadle-cluster
programs=(etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy coredns containerd)

ctr_of() { ctr -a "$socket" -n k8s.io "$@"; }
kubectl_of() { "$cache/bin/kubectl" --kubeconfig "$state/admin.kubeconfig" "$@"; }
node_address() { hostname -I | awk '{print $1}'; }

# Ours are told by the path of the state in their arguments, so that no stale pid file can name a stranger.
pids_of() { pgrep -f "^([^ ]*/)?($1) .*$state[/.]" || true; } # program, or programs by |

cgroups() { # the directories of ours: one a controller under version 1, one under version 2
  if [ -f /sys/fs/cgroup/cgroup.controllers ]; then echo "/sys/fs/cgroup/$cgroup"; else printf '%s\n' /sys/fs/cgroup/*/ | sed "s#\$#$cgroup#"; fi
}
make_cgroup() {
  local directory value
  for directory in $(cgroups); do
    mkdir -p "$directory"
    for value in cpuset.cpus cpuset.mems; do # empty in a new group of version 1, and then no process may join
      [ ! -f "$directory/$value" ] || [ -f /sys/fs/cgroup/cgroup.controllers ] || cat "$directory/../$value" > "$directory/$value"
    done
  done
}

answers() { # port path: is there a 200?
  local line
  exec 8<> "/dev/tcp/127.0.0.1/$1" || return 1
  printf 'GET %s HTTP/1.0\r\n\r\n' "$2" >&8
  read -r line <&8 || true
  exec 8>&-
  [[ $line == *" 200 "* ]]
}
is_ready() { [ "$(kubectl_of get node "$node" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]; }

is_healthy() { # prints what is wrong
  local program
  for program in "${programs[@]}"; do
    [ "$(pids_of "$program")" ] || { echo "$program is not running"; return 1; }
  done
  [ "$(node_address)" = "$(< "$state/address")" ] || { echo "the machine's address has changed"; return 1; }
  (answers 10248 /healthz) 2> /dev/null || { echo "kubelet does not answer"; return 1; }
  (answers 18080 /health) 2> /dev/null || { echo "CoreDNS does not answer"; return 1; }
  is_ready 2> /dev/null || { echo "$node is not Ready"; return 1; }
}
