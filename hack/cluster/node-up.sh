#!/usr/bin/env bash
# Start a one-node cluster on this machine: etcd, control plane, containerd, kubelet, kube-proxy, CoreDNS. Root only.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$here/node.sh"
[ "$(id -u)" = 0 ] || fail "a cluster on this machine needs root; run make as root, or set CLUSTER=external, kind or k3d"
need containerd=containerd runc=runc iptables=iptables conntrack=conntrack openssl=openssl ip=iproute2 /usr/lib/cni/bridge=containernetworking-plugins
bin=$("$here/build.sh")
pause=$("$here/pause.sh")
for port in 2379 2380 6443 10250 10257 10259; do
  ! (: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null || fail "port $port is taken by another process (ss -ltnp 'sport = :$port' names it); stop it, or set CLUSTER=external"
done
address=$(node_address)

mkdir -p "$state"/{pki,etcd,log/pods,cni,containerd,kubelet} && cd "$state"
echo "$address" > address
modprobe br_netfilter 2> /dev/null || true # built in where there are no modules
sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1

key() { openssl ecparam -name prime256v1 -genkey -noout -out "pki/$1.key"; }
certificate() { # name subject [subjectAltName]
  key "$1"
  printf 'extendedKeyUsage=clientAuth,serverAuth\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n%s\n' "${3:+subjectAltName=$3}" > "pki/$1.ext"
  openssl req -new -key "pki/$1.key" -subj "$2" \
    | openssl x509 -req -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -days 3650 -extfile "pki/$1.ext" -out "pki/$1.crt" 2> /dev/null
}
# Python 3.13 checks strictly: a CA says what its key is for, and a certificate whose key has signed it.
key ca && openssl req -x509 -key pki/ca.key -subj /CN=treadle-test -days 3650 -addext keyUsage=critical,keyCertSign,cRLSign -out pki/ca.crt
certificate apiserver /CN=kube-apiserver "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:10.96.0.1,IP:$address"
certificate kubelet "/O=system:nodes/CN=system:node:$node" "DNS:$node,IP:127.0.0.1,IP:$address"
certificate admin /O=system:masters/CN=admin
certificate controller-manager /CN=system:kube-controller-manager
certificate scheduler /CN=system:kube-scheduler
certificate proxy /CN=system:kube-proxy
key accounts && openssl pkey -in pki/accounts.key -pubout -out pki/accounts.pub
for user in admin kubelet controller-manager scheduler proxy; do
  # Certificates inside, so that a copy of the file works as well as the file.
  (umask 077 && cat > "$user.kubeconfig") << END
apiVersion: v1
kind: Config
current-context: treadle-test
contexts: [{name: treadle-test, context: {cluster: treadle-test, user: $user}}]
clusters: [{name: treadle-test, cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: $(base64 -w0 pki/ca.crt)}}]
users: [{name: $user, user: {client-certificate-data: $(base64 -w0 "pki/$user.crt"), client-key-data: $(base64 -w0 "pki/$user.key")}}]
END
done

cat > cni/10-treadle.conflist << END
{"cniVersion": "0.4.0", "name": "treadle", "plugins": [
  {"type": "bridge", "bridge": "$bridge", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$state/cni/addresses", "ranges": [[{"subnet": "$pods"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}},
  {"type": "firewall"}]}
END
# restrict_oom_score_adj: in a container of the host's kind nobody may lower it, and runc fails without a word.
cat > containerd.toml << END
version = 2
root = "$state/containerd/root"
state = "$state/containerd/state"
[grpc]
  address = "$socket"
[plugins."io.containerd.internal.v1.opt"]
  path = "$state/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:$PAUSE"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$state/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
END
cat > Corefile << END
.:53 {
  bind $address
  errors
  health 127.0.0.1:18080
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $state/admin.kubeconfig treadle-test
  }
  forward . /etc/resolv.conf
  cache 5
}
END
# Tests kill the operator again and again: it is back in seconds instead of minutes.
# Evicting and collecting images start at absolute figures: a disk of any size is usually nearly full.
cat > kubelet.yaml << END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {x509: {clientCAFile: "$state/pki/ca.crt"}, webhook: {enabled: true}}
authorization: {mode: Webhook}
tlsCertFile: "$state/pki/kubelet.crt"
tlsPrivateKeyFile: "$state/pki/kubelet.key"
containerRuntimeEndpoint: "unix://$socket"
cgroupDriver: cgroupfs
cgroupRoot: /$cgroup
failCgroupV1: false
failSwapOn: false
clusterDNS: ["$address"]
clusterDomain: cluster.local
podLogsDir: "$state/log/pods"
volumePluginDir: "$state/kubelet/volume-plugins"
imageGCHighThresholdPercent: 100
crashLoopBackOff: {maxContainerRestartPeriod: 2s}
evictionHard: {memory.available: 100Mi, nodefs.available: 200Mi, imagefs.available: 200Mi, nodefs.inodesFree: "1%", imagefs.inodesFree: "1%"}
END
make_cgroup

start() { # program argument...
  setsid nohup "$@" > "log/$(basename "$1").log" 2>&1 < /dev/null &
}
await() { # what command...
  local what=$1; shift
  for _ in $(seq 300); do "$@" > /dev/null 2>&1 && return; sleep 0.1; done
  fail "$what did not come up in 30 s; its log is under $state/log"
}

start containerd -c "$state/containerd.toml"
start "$bin/etcd" --data-dir "$state/etcd" --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380 --unsafe-no-fsync
# By the node's address: by name, as is the default, logs and port-forward would need a line in /etc/hosts.
start "$bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --service-cluster-ip-range=10.96.0.0/16 \
  --client-ca-file="$state/pki/ca.crt" --tls-cert-file="$state/pki/apiserver.crt" --tls-private-key-file="$state/pki/apiserver.key" \
  --service-account-key-file="$state/pki/accounts.pub" --service-account-signing-key-file="$state/pki/accounts.key" \
  --service-account-issuer=https://kubernetes.default.svc --authorization-mode=Node,RBAC \
  --kubelet-client-certificate="$state/pki/admin.crt" --kubelet-client-key="$state/pki/admin.key" \
  --kubelet-preferred-address-types=InternalIP --advertise-address="$address" \
  --audit-policy-file="$here/audit.yaml" --audit-log-path="$state/log/audit.log" --audit-log-maxsize=200 --audit-log-maxbackup=2
await containerd ctr_of version
ctr_of images import "$pause" > /dev/null
await kube-apiserver kubectl_of get --raw /readyz
start "$bin/kubelet" --config="$state/kubelet.yaml" --kubeconfig="$state/kubelet.kubeconfig" --root-dir="$state/kubelet" \
  --cert-dir="$state/pki" --hostname-override="$node" --node-ip="$address"
start "$bin/kube-controller-manager" --kubeconfig="$state/controller-manager.kubeconfig" --root-ca-file="$state/pki/ca.crt" \
  --service-account-private-key-file="$state/pki/accounts.key" --use-service-account-credentials --leader-elect=false
start "$bin/kube-scheduler" --kubeconfig="$state/scheduler.kubeconfig" --leader-elect=false
start "$bin/coredns" -conf "$state/Corefile"
# Containers of the host's kind may not write the conntrack limits.
start "$bin/kube-proxy" --kubeconfig="$state/proxy.kubeconfig" --cluster-cidr="$pods" --hostname-override="$node" \
  --proxy-mode=iptables --conntrack-max-per-core=0
await "node $node" is_ready
await "the default service account" kubectl_of -n default get serviceaccount default
await CoreDNS answers 18080 /health
