# Sourced by test: a full cluster runs a restricted Pod of a loaded image with a volume, a Service and DNS.

check_workloads() {
  check "a full cluster comes up" "$here/up"
  check "its status is 0" "$here/status"
  check "an image is loaded from an archive" load_busybox
  check "a restricted Pod with a volume becomes ready" deploy_web
  check "a Pod reaches a Service by its name" reach_by_name
  check "the node resolves no cluster names" node_does_not_resolve
  check "in --dns resolves them" "$here/in" --dns getent hosts web.checks.svc
  check "in keeps the working directory and the exit status" keeps_directory_and_status
  check "in and trust work from inside" works_from_inside
  check "the node pulls over TLS from where trust points" pull_by_trust
  check "a claim grows when its class allows it" grow_claim data
  check "a claim of local-fixed does not grow" fixed_claim_is_refused
  check "the volume of a deleted claim is removed" volume_is_removed
  check "API requests are in the audit log" grep -q '"resource":"statefulsets","namespace":"checks"' "$state/log/audit.log"
  check "logs are copied" copy_logs
  check "up replaces a cluster that is up" up_replaces
  check "down succeeds" "$here/down"
  check "nothing of the cluster is left" nothing_left "$PORTOLAN_CLUSTER_NAME"
  check "the machine is as before" machine_unchanged
  check "down of no cluster succeeds" "$here/down"
  check "status of no cluster is 3" status_is_3
}

kubectl() { "$here/in" kubectl "$@"; }

load_busybox() {
  "$here/mkimage" localhost/busybox:1 "$(command -v busybox)" > "$work/busybox.tar" && "$here/load" "$work/busybox.tar"
}

deploy_web() {
  kubectl apply -f - < "$here/checks/web.yaml" && kubectl -n checks rollout status statefulset/web --timeout=60s
}

# A ClusterIP answers some 100 ms after its Pod is ready, hence the attempts.
reach_by_name() {
  kubectl -n checks exec web-0 -- /busybox sh -c '
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
      [ "$(/busybox wget -qO- http://web.checks.svc.cluster.local/index.html)" = hello ] && exit 0
      /busybox sleep 0.2
    done
    exit 1'
}

node_does_not_resolve() { ! "$here/in" getent hosts web.checks.svc; }

keeps_directory_and_status() {
  [ "$(cd "$work" && "$here/in" pwd)" = "$work" ] || return 1
  "$here/in" bash -c 'exit 37'
  [ $? = 37 ]
}

works_from_inside() {
  "$here/in" "$here/in" kubectl get --raw /readyz &&
    "$here/in" "$here/trust" registry.example "$state/pki/ca.crt" https://198.19.0.99 &&
    grep -q '^server = "https://198.19.0.99"$' "$state/certs.d/registry.example/hosts.toml"
}

# A registry at the node's address, TLS put before it by socat; both end with the cluster.
pull_by_trust() {
  mkdir -p "$work/layout" "$work/tls" && tar -xf "$work/busybox.tar" -C "$work/layout" || return 1
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=registry -addext "subjectAltName=IP:$node_address" \
    -keyout "$work/tls/key" -out "$work/tls/certificate" 2> /dev/null || return 1
  "$here/in" crane registry serve --address 127.0.0.1:5000 > "$work/registry.log" 2>&1 &
  "$here/in" socat "OPENSSL-LISTEN:5443,reuseaddr,fork,verify=0,cert=$work/tls/certificate,key=$work/tls/key" TCP:127.0.0.1:5000 \
    > "$work/socat.log" 2>&1 &
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    "$here/in" crane push "$work/layout" localhost:5000/team/busybox:1 && break
    sleep 0.2
  done
  "$here/trust" registry.checks.svc "$work/tls/certificate" "https://$node_address:5443" &&
    kubectl -n default run pulled --image registry.checks.svc/team/busybox:1 --image-pull-policy=Always -- sleep 600 &&
    kubectl -n default wait pod/pulled --for=condition=Ready --timeout=30s
}

grow_claim() {
  kubectl -n checks patch pvc "$1" --type merge -p '{"spec":{"resources":{"requests":{"storage":"3Gi"}}}}' &&
    kubectl -n checks wait "pvc/$1" --for=jsonpath='{.status.capacity.storage}'=3Gi --timeout=20s &&
    [ "$(kubectl get pv "$(kubectl -n checks get pvc "$1" -o jsonpath='{.spec.volumeName}')" -o jsonpath='{.spec.capacity.storage}')" = 3Gi ]
}

fixed_claim_is_refused() {
  local answer
  if answer=$(grow_claim fixed 2>&1); then echo "it grew"; return 1; fi
  grep 'the storageclass that provisions the pvc must support resize' <<< "$answer"
}

volume_is_removed() {
  local volume
  volume=$(kubectl -n checks get pvc data -o jsonpath='{.spec.volumeName}')
  [ -d "$state/volumes/$volume" ] || return 1
  kubectl -n checks delete statefulset/web --timeout=60s && kubectl -n checks delete pvc/data --timeout=60s &&
    kubectl wait "pv/$volume" --for=delete --timeout=30s && [ ! -e "$state/volumes/$volume" ]
}

copy_logs() { "$here/logs" "$work/logs" && [ -s "$work/logs/kubelet.log" ] && [ -s "$work/logs/events.txt" ]; }

up_replaces() {
  local before
  before=$(kubectl get namespace kube-system -o jsonpath='{.metadata.uid}')
  "$here/up" --api && [ "$(kubectl get namespace kube-system -o jsonpath='{.metadata.uid}')" != "$before" ]
}

status_is_3() {
  "$here/status"
  [ $? = 3 ]
}
