# Sourced by node-init: starts the components and waits for them. Each has $state/log/NAME.log; $state/components has
# lines `NAME PID`, the pid as seen inside.

start() { # NAME COMMAND...
  local component=$1
  shift
  setsid "$@" > "$state/log/$component.log" 2>&1 < /dev/null {progress}>&- &
  echo "$component $!" >> "$state/components"
}

# report_ended: a line in the node's log for each component that has ended; fails when there is one.
declare -A ended=()
report_ended() {
  local component pid
  while read -r component pid; do
    if kill -0 "$pid" 2> /dev/null; then continue; fi
    if [ -z "${ended[$component]:-}" ]; then
      echo "$component has ended; the end of its log:"
      tail -n 5 "$state/log/$component.log"
      ended[$component]=yes
    fi
  done < "$state/components"
  [ ${#ended[@]} = 0 ]
}

# await WHAT COMMAND...: until it succeeds once; exits when a component dies or after 90 s.
await() {
  local what=$1 began=$SECONDS
  shift
  exec {never}<> <(:)
  until "$@" > "$state/tmp/await" 2>&1; do
    report_ended || exit 1
    if [ $((SECONDS - began)) -ge 90 ]; then
      echo "timed out waiting for $what; the last answer:"
      cat "$state/tmp/await"
      exit 1
    fi
    read -r -t 0.2 -u "$never" || :
  done
  exec {never}>&-
  report "$what"
}

start_etcd() {
  start etcd etcd --name "$node" --data-dir "$state/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
    --initial-cluster "$node=http://127.0.0.1:2380"
}

start_apiserver() {
  start apiserver kube-apiserver --etcd-servers http://127.0.0.1:2379 \
    --secure-port 6443 --bind-address 0.0.0.0 --advertise-address "$node_address" \
    --tls-cert-file "$state/pki/apiserver.crt" --tls-private-key-file "$state/pki/apiserver.key" \
    --client-ca-file "$state/pki/ca.crt" --authorization-mode Node,RBAC \
    --enable-admission-plugins NodeRestriction,OwnerReferencesPermissionEnforcement \
    --service-account-issuer https://kubernetes.default.svc.cluster.local \
    --service-account-key-file "$state/pki/service-account.pub" \
    --service-account-signing-key-file "$state/pki/service-account.key" \
    --service-cluster-ip-range "$service_range" --allow-privileged \
    --kubelet-client-certificate "$state/pki/apiserver-kubelet.crt" \
    --kubelet-client-key "$state/pki/apiserver-kubelet.key" \
    --kubelet-certificate-authority "$state/pki/ca.crt" --kubelet-preferred-address-types InternalIP \
    --audit-policy-file "$state/etc/audit.yaml" --audit-log-path "$state/log/audit.log" --audit-log-maxsize 4096 \
    --profiling=false
}

# await_apiserver: /readyz covers the RBAC bootstrap roles, without which controller manager and scheduler exit.
await_apiserver() {
  await "kube-apiserver ready" kubectl get --raw /readyz
}

start_controller_manager() { # its default limit of 20 requests a second would cost four seconds here
  local config=$state/etc/controller-manager.kubeconfig
  start controller-manager kube-controller-manager --kubeconfig "$config" \
    --authentication-kubeconfig "$config" --authorization-kubeconfig "$config" \
    --use-service-account-credentials --service-account-private-key-file "$state/pki/service-account.key" \
    --root-ca-file "$state/pki/ca.crt" \
    --cluster-signing-cert-file "$state/pki/ca.crt" --cluster-signing-key-file "$state/pki/ca.key" \
    --cluster-cidr "$pod_range" --service-cluster-ip-range "$service_range" --leader-elect=false \
    --flex-volume-plugin-dir "$state/kubelet-plugins" --kube-api-qps 300 --kube-api-burst 600
}

start_containerd() {
  start containerd containerd --config "$state/etc/containerd.toml"
  await "containerd" ctr --connect-timeout 1s version
}

# load_node_images: before anything that runs them, else their Pods wait out a back-off.
load_node_images() {
  local binary directory
  for binary in pause coredns; do
    directory=$(dirname "$(command -v "$binary")")
    ctr -n k8s.io images import "${directory%/bin}/$binary.tar" > /dev/null
  done
  report "node images"
}

start_node() {
  local config=$state/etc/scheduler.kubeconfig
  start scheduler kube-scheduler --kubeconfig "$config" --leader-elect=false \
    --authentication-kubeconfig "$config" --authorization-kubeconfig "$config"
  start kubelet kubelet --config "$state/etc/kubelet.yaml" --kubeconfig "$state/etc/kubelet.kubeconfig" \
    --root-dir "$state/kubelet" --cert-dir "$state/kubelet/pki" --hostname-override "$node" --node-ip "$node_address"
  start proxy kube-proxy --config "$state/etc/proxy.yaml"
  start provisioner provisioner -ca "$state/pki/ca.crt" -certificate "$state/pki/provisioner.crt" \
    -key "$state/pki/provisioner.key" -node "$node" -directory "$state/volumes"
  kubectl apply -f "$state/etc/storage.yaml" -f "$state/etc/dns.yaml" > /dev/null
}
