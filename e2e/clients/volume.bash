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
# request METHOD PATH-OR-URL [CURL-OPTION...]: one of ours, which is to succeed; prints the headers.
request() {
  local method=$1 url=$2 token
  shift 2
  token=$(curl -sf --cacert "$authority" -u "push:$(password push)" "https://$host/token?service=$host&scope=repository:$client/ours:pull,push" | jq -r .token)
  curl -sf -o /dev/null -D - --cacert "$authority" -H "Authorization: Bearer $token" -X "$method" "$@" "https://$host${url#"https://$host"}"
}
# push_rarities: an image whose layer has a sha512 digest, and an index with a child that never comes.
push_rarities() {
  local repository=/v2/$client/ours oci=application/vnd.oci.image config child location size
  head -c 3000 /dev/urandom > layer
  sha512=sha512:$(sha512sum < layer | cut -d ' ' -f 1)
  echo "$sha512" > sha512
  location=$(request POST "$repository/blobs/uploads/" -H 'Content-Length: 0' | sed -n 's/\r$//; s/^location: //Ip')
  request PUT "$location?digest=$sha512" --data-binary @layer
  config=$(crane manifest "$host/$client/ours:v1" | jq -c .config)
  jq -n --argjson config "$config" --arg layer "$sha512" --arg oci $oci '{schemaVersion: 2, mediaType: "\($oci).manifest.v1+json", $config,
    layers: [{mediaType: "\($oci).layer.v1.tar", size: 3000, digest: $layer}]}' > manifest
  request PUT "$repository/manifests/sha512" -H "Content-Type: $oci.manifest.v1+json" --data-binary @manifest
  child=$(sha256sum < manifest | cut -d ' ' -f 1) size=$(stat -c %s manifest)
  jq -n --arg child "sha256:$child" --argjson size "$size" --arg oci $oci '{schemaVersion: 2, mediaType: "\($oci).index.v1+json", manifests: [
    {mediaType: "\($oci).manifest.v1+json", digest: $child, $size, platform: {architecture: "amd64", os: "linux"}},
    {mediaType: "\($oci).manifest.v1+json", digest: "sha256:3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d", size: 3, platform: {architecture: "arm64", os: "linux"}}]}' > index
  request PUT "$repository/manifests/sparse" -H "Content-Type: $oci.index.v1+json" --data-binary @index
}
start_theirs() { # PROGRAM
  local d=$WORK/secrets
  cat > theirs.yaml <<YAML
version: 0.1
log: {level: info}
storage: {filesystem: {rootdirectory: $WORK/volume}, delete: {enabled: true}}
validation: {manifests: {indexes: {platforms: none}}}
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
    push_rarities
    contents > ours.txt
    grep -q "^$client/ours:sparse " ours.txt
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
    curl -sf -o served --cacert "$authority" "https://$host/v2/$client/ours/blobs/$(cat sha512)"
    cmp served layer
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
    diff <(grep -v "^$client/theirs" again.txt) ours.txt
    crane blob "$host/$client/ours@$(cat sha512)" | cmp - layer
  }
  check "after our garbage collection its own would remove nothing" nothing_left
}
