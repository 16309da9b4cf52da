# Sourced by test: two clusters at once, and places that the cluster hides from itself.

check_several() {
  check "two clusters come up at once under two names" two_at_once
  check "each has its own objects" own_objects
  check "one goes down, the other stays" one_stays
  PORTOLAN_CLUSTER_NAME=${names[1]} check "the other goes down" "$here/down"
  check "nothing of both is left" nothing_left "${names[@]}"
  check "state below /var/lib is possible" state_in_hidden_place
  check "the machine is as before" machine_unchanged
}

two_at_once() {
  local one two
  "$here/up" & one=$!
  PORTOLAN_CLUSTER_NAME=${names[1]} "$here/up" --api & two=$!
  wait $one && wait $two
}

own_objects() {
  kubectl create namespace only-here || return 1
  ! PORTOLAN_CLUSTER_NAME=${names[1]} "$here/in" kubectl get namespace only-here
}

one_stays() {
  "$here/down" && nothing_left "$PORTOLAN_CLUSTER_NAME" && PORTOLAN_CLUSTER_NAME=${names[1]} "$here/in" kubectl get --raw /readyz
}

state_in_hidden_place() (
  export PORTOLAN_STATE=/var/lib/portolan-$$
  "$here/up" --api && "$here/in" kubectl get --raw /readyz && "$here/down" && [ ! -e "$PORTOLAN_STATE" ]
)
