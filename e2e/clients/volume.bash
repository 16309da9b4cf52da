# Sourced by the clients that are registries of the family of registry:2: the same volume is served by ours, by theirs, by ours.
export SSL_CERT_FILE=$authority

# contents > every tag of every repository, and the digest of its manifest as it was served.
contents() {
  local repository tag
  for repository in $(crane catalog "$host"); do
    for tag in $(crane ls "$host/$repository"); do
      echo "$repository:$tag $(crane manifest "$host/$repository:$tag" | sha256sum | cut -d ' ' -f 1)"
    done
  done | sort
}
start_theirs() { # PROGRAM
  local d=$WORK/secrets
  cat > theirs.yaml <<YAML
version: 0.1
log: {level: info}
storage: {filesystem: {rootdirectory: $WORK/volume}, delete: {enabled: true}}
http: {addr: "127.0.0.1:443", tls: {certificate: $d/tls.crt, key: $d/tls.key}}
YAML
  "$1" serve theirs.yaml >> "$LOGS/$client.log" 2>&1 &
  theirs=$!
}
they_answer() {
  while kill -0 "$theirs" 2> /dev/null; do
    ! curl -sf -o /dev/null --cacert "$authority" "https://$host/v2/" || return 0
    sleep 0.05
  done
  tail -n 20 "$LOGS/$client.log"
  return 1
}

volume_shared() { # PROGRAM
  local program=$1 digest
  digest=$(make_image "$HOME/image" "$client")
  login() { password push | crane auth login -u push --password-stdin "$host"; }
  prepared() {
    login
    crane push "$HOME/image" "$host/$client/ours:v1"
    crane index append -t "$host/$client/ours:index" -m "$host/$client/ours:v1"
    contents > ours.txt
    [ -s ours.txt ]
  }
  check "images for it to read" prepared
  stop_registry
  start_theirs "$program"
  check "it starts on our volume" they_answer
  reads() {
    crane auth logout "$host"
    contents > theirs.txt
    diff ours.txt theirs.txt
    crane validate --remote "$host/$client/ours:v1"
    crane validate --remote "$host/$client/ours:index"
  }
  check "it serves what we wrote: every tag, byte for byte" reads
  check "it writes on" crane push "$HOME/image" "$host/$client/theirs:v1"
  kill "$theirs" 2> /dev/null
  wait "$theirs" 2> /dev/null
  start_registry
  back() {
    login
    same "$(crane digest "$host/$client/theirs:v1")" "$digest"
    crane validate --remote "$host/$client/theirs:v1"
    contents > again.txt
    diff <(grep -v "^$client/theirs:" again.txt) ours.txt
  }
  check "we serve what it wrote, and all from before" back
  nothing_left() {
    crane delete "$host/$client/theirs:v1"
    "$SERVER" gc --grace 0s --socket "$WORK/volume/portolan/v1/admin.sock"
    "$program" garbage-collect --dry-run theirs.yaml | tee found
    grep -q '0 blobs and 0 manifests eligible for deletion' found
    contents > again.txt
    diff <(grep -v "^$client/" again.txt) <(grep -v "^$client/" ours.txt)
  }
  check "after our garbage collection its own would remove nothing" nothing_left
}
