# Sourced by test: what brings clusters up for a while (`make operator`, `make test`) is killed, or the make that started it.

check_runners() {
  local runner=$clone/.ci/with-cluster long='echo inside > "$0"; sleep 600 & wait'
  local api=$PORTOLAN_CLUSTER_NAME-api         # the name that a runner gives its cluster
  check "a runner passes the exit status on and takes its cluster down" runner_passes_status
  check "a runner that is killed while its cluster comes up leaves nothing" killed_runner_leaves_nothing "$work/up.log" certificates true
  check "a runner that is killed while its command runs leaves nothing" killed_runner_leaves_nothing "$work/began" inside command_runs
  check "a runner whose make is killed leaves nothing" killed_make_leaves_nothing
  check "a runner that is killed leaves the cluster that was up before" killed_runner_leaves_what_was_up
  check "a test run that is killed while it compiles leaves nothing" killed_tests_leave_nothing
  check "a test run that is killed takes along what it builds beside its stages" killed_tests_end_what_goes_on_beside
  check "a tool whose build is killed is built by the next one" killed_build_is_done_again
}

killed_tests_end_what_goes_on_beside() {
  local log=$work/target/logs/test/programs.log
  started_runner env CARGO_TARGET_DIR="$work/target" PORTOLAN_STAGES="unit images" "$clone/.ci/test"
  until_said "$log" Compiling || { cat "$work/runner.log" "$log"; kill "$started"; return 1; }
  kill_started
  while [ -n "$(marked)" ]; do sleep 0.2; done
  rm -rf "$work/target"
}

started_runner() { # COMMAND...
  rm -f "$work/began" "$work/up.log"
  start_marked "$@" > "$work/runner.log" 2> "$work/up.log"
}

command_runs() {
  until marked | grep -q ': sleep 600 $'; do kill -0 "$started" || { echo "the command was not seen"; return 1; }; done
}

runner_passes_status() {
  "$runner" api bash -c 'exit 43'
  [ $? = 43 ] && nothing_left "$api"
}

killed_runner_leaves_nothing() { # FILE TEXT CONDITION
  started_runner "$runner" api bash -c "$long" "$work/began"
  until_said "$1" "$2" && "$3" || { cat "$work/runner.log" "$work/up.log"; kill "$started"; return 1; }
  kill_started
  all_gone "$api"
}

killed_make_leaves_nothing() {
  printf 'include Makefile\nlong:\n\t@$(guarded) .ci/with-cluster api bash -c '\''%s'\'' %s\n' "${long//\$/\$\$}" "$work/began" > "$work/long.mk"
  started_runner make --no-print-directory -C "$clone" -f "$work/long.mk" long
  until_said "$work/began" inside && command_runs || { cat "$work/runner.log" "$work/up.log"; kill "$started"; return 1; }
  kill_started
  all_gone "$api"
}

killed_runner_leaves_what_was_up() {
  PORTOLAN_CLUSTER_NAME=$api "$here/up" --api || return 1
  started_runner "$runner" api bash -c "$long" "$work/began"
  until_said "$work/began" inside && kill_started || return 1
  while [ -n "$(marked)" ]; do sleep 0.2; done
  PORTOLAN_CLUSTER_NAME=$api "$here/status" && [ -z "$(marked)" ] && PORTOLAN_CLUSTER_NAME=$api "$here/down"
}

# Its cluster is up by then, and cargo compiles into a directory of its own.
killed_tests_leave_nothing() {
  started_runner env CARGO_TARGET_DIR="$work/target" PORTOLAN_STAGES=admission "$clone/.ci/test"
  until_said "$work/target/logs/test/admission.log" Compiling || { cat "$work/runner.log"; kill "$started"; return 1; }
  [ -n "$(belongings "$api")" ] || { echo "no cluster is up: the check proves nothing"; return 1; }
  kill_started
  all_gone "$api" && rm -rf "$work/target"
}

killed_build_is_done_again() {
  local found tools=$clone/e2e/tools
  export PORTOLAN_CACHE=$work/cache
  start_marked "$tools/build" node 2> "$work/build.log"
  until compgen -G "$PORTOLAN_CACHE/tools/.node.*/" > /dev/null; do kill -0 "$started" || { cat "$work/build.log"; return 1; }; done
  kill_started
  timeout 120 "$tools/build" node || return 1
  found=$(ls -A "$PORTOLAN_CACHE/tools")
  rm -rf "$PORTOLAN_CACHE"
  [[ $found =~ ^\.lock-node[[:space:]]node-[0-9a-f]{16}$ ]] || { echo "$found"; return 1; }
}
