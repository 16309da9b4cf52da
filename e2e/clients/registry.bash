# Sourced by inside: the machine as the clients see it, and the registry on it. `host` is where it listens, with users `push` (pulls,
# pushes and deletes) and `pull`, and their passwords in files of these names in $WORK/passwords.
host=registry.team-a.svc
authority=$WORK/secrets/ca.crt

# A loopback of our own, a file of names, and directories of /etc and /var that clients write to or read as the machine's.
prepare_machine() {
  local directory
  ip link set lo up || return 1
  mkdir -p etc
  printf '127.0.0.1 localhost %s\n' "$host" > etc/hosts
  : > etc/resolv.conf
  mount --bind etc/hosts /etc/hosts && mount --bind etc/resolv.conf /etc/resolv.conf || return 1
  for directory in /run /var/lib/containers /etc/containers; do
    mkdir -p "$directory"
    mount -n -t tmpfs tmpfs "$directory" || return 1
  done
  mkdir -p "/etc/containers/certs.d/$host"
  printf '{"default": [{"type": "insecureAcceptAnything"}]}\n' > /etc/containers/policy.json
  printf 'unqualified-search-registries = []\n' > /etc/containers/registries.conf
}

make_secrets() {
  local d=$WORK/secrets user
  mkdir -p "$d/keys" "$WORK/passwords"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=clients-ca \
    -keyout "$d/ca.key" -out "$d/ca.crt" -addext basicConstraints=critical,CA:true 2> /dev/null &&
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=registry -keyout "$d/tls.key" -out "$d/tls.csr" 2> /dev/null &&
    openssl x509 -req -in "$d/tls.csr" -CA "$d/ca.crt" -CAkey "$d/ca.key" -CAcreateserial -days 2 -out "$d/tls.crt" \
      -extfile <(echo "subjectAltName=DNS:$host") 2> /dev/null &&
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$d/keys/k1.pem" 2> /dev/null || return 1
  printf k1 > "$d/keys/active"
  cp "$authority" "/etc/containers/certs.d/$host/ca.crt"
  for user in push pull; do openssl rand -hex 32 | tr -d '\n' > "$WORK/passwords/$user"; done
  cat > "$d/users.yaml" <<YAML
users:
- name: push
  passwordSha256: ["$(sha256sum < "$WORK/passwords/push" | cut -d ' ' -f 1)"]
  permissions: [{repositories: ["**"], actions: [pull, push, delete]}]
- name: pull
  passwordSha256: ["$(sha256sum < "$WORK/passwords/pull" | cut -d ' ' -f 1)"]
  permissions: [{repositories: ["**"], actions: [pull]}]
YAML
}
password() { cat "$WORK/passwords/$1"; } # USER

start_registry() {
  local d=$WORK/secrets
  mkdir -p "$WORK/volume"
  cat > "$WORK/registry.yaml" <<YAML
http:
  address: 127.0.0.1:443
  tls: {certificateFile: $d/tls.crt, keyFile: $d/tls.key}
health: {address: 127.0.0.1:5002}
storage: {deleteEnabled: true, volume: {path: $WORK/volume}}
auth: {usersFile: $d/users.yaml, token: {keysDirectory: $d/keys, service: $host, lifetime: 5m}}
log: {level: info, format: json}
YAML
  "$SERVER" serve --config "$WORK/registry.yaml" >> "$LOGS/registry.log" 2>&1 &
  registry=$!
  while kill -0 "$registry" 2> /dev/null; do
    ! curl -sf -o /dev/null http://127.0.0.1:5002/readyz || return 0
    sleep 0.05
  done
  echo "the registry does not start:" >&2
  tail -n 20 "$LOGS/registry.log" >&2
  return 1
}
stop_registry() { kill "$registry" && wait "$registry"; }

# api METHOD PATH [CURL-OPTION...]: a request of ours, to see what a client left there; prints the status.
api() {
  local method=$1 path=$2
  shift 2
  curl -s -o /dev/null -w '%{http_code}' --cacert "$authority" -H "Authorization: Bearer $(token_for "$path")" -X "$method" "$@" "https://$host$path"
}
token_for() { # PATH
  local repository=${1#/v2/}
  repository=${repository%/manifests/*} repository=${repository%/blobs/*}
  curl -sf --cacert "$authority" -u "pull:$(password pull)" "https://$host/token?service=$host&scope=repository:$repository:pull" | jq -r .token
}
gone() { # PATH
  local status
  status=$(api GET "$1")
  same "$status" 404
}
