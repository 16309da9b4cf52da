# Sourced by write: an image manifest of schema 1, signed as docker 1.9 did, with a key that is made for it.

base64url() { base64 -w 0 | tr '+/' '-_' | tr -d '='; }
# octets OFFSET LENGTH < an uncompressed P-256 public key as DER
octets() { tail -c +"$(($1 + 1))" | head -c "$2"; }
# raw < an ECDSA signature as DER > its two numbers of 32 bytes
raw() {
  openssl asn1parse -inform DER | sed -n 's/.*INTEGER *://p' | while read -r number; do
    printf '%64s' "$number" | tr ' ' 0 | tail -c 64
  done | basenc --base16 -d
}

schema1=()      # REPOSITORY DIGEST
push_schema1() { # REPOSITORY TAG
  local layer key=$work/schema1.pem der=$work/schema1.der id x y protected signature length
  layer=$(digest_of "$(blob "$1" 'a layer of schema 1')")
  remember "$1" "blobs/$layer"
  jq -nj --indent 3 --arg name "$1" --arg tag "$2" --arg layer "$layer" '{schemaVersion: 1, $name, $tag, architecture: "amd64", fsLayers: [{blobSum: $layer}],
    history: [{v1Compatibility: "{\"id\":\"e45a5af57b00862e5ef5782a9925979a02ba2b12dff832fd0991335f4a11e5c5\"}"}]}' > "$work/payload"
  length=$(($(stat -c %s "$work/payload") - 2))      # without the newline and the brace that end it
  openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$key" 2> /dev/null || openssl ecparam -name prime256v1 -genkey -noout -out "$key"
  openssl pkey -in "$key" -pubout -outform DER -out "$der"
  x=$(octets 27 32 < "$der" | base64url) y=$(octets 59 32 < "$der" | base64url)
  id=$(openssl dgst -sha256 -binary "$der" | head -c 30 | base32 -w 0 | fold -w 4 | paste -sd :)
  protected=$(jq -nc --argjson length "$length" '{formatLength: $length, formatTail: "Cn0", time: "2016-01-01T00:00:00Z"}' | tr -d '\n' | base64url)
  signature=$(printf '%s.%s' "$protected" "$(base64url < "$work/payload")" | openssl dgst -sha256 -sign "$key" | raw | base64url)
  {
    head -c "$length" "$work/payload"
    printf ',\n   "signatures": [{"header": {"jwk": {"crv": "P-256", "kid": "%s", "kty": "EC", "x": "%s", "y": "%s"}, "alg": "ES256"}, "signature": "%s", "protected": "%s"}]\n}' \
      "$id" "$x" "$y" "$signature" "$protected"
  } > "$work/signed"
  request 201 PUT "/v2/$1/manifests/$2" -H 'Content-Type: application/vnd.docker.distribution.manifest.v1+prettyjws' --data-binary @"$work/signed"
  schema1=("$1" "$(sum "$work/payload")")
}

# stored_schema1 > what is on the volume. Its writer signs it anew for each pull; who has no key serves what was signed, under the same type.
stored_schema1() {
  [ ${#schema1[@]} = 0 ] || echo "get /v2/${schema1[0]}/manifests/${schema1[1]} 200 application/vnd.docker.distribution.manifest.v1+prettyjws ${schema1[1]} ${schema1[1]}"
}
