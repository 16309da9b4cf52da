# Sourced by write: pushes to the registry at $at, remembers what was pushed, and asks for all of it in the end.

forget() { asked=() repositories=() ; }
remember() { # REPOSITORY PATH
  [[ " ${repositories[*]} " == *" $1 "* ]] || repositories+=("$1")
  asked+=("/v2/$1/$2")
}
sum() { echo "sha256:$(sha256sum < "$1" | cut -d ' ' -f 1)"; } # FILE

# request STATUS METHOD PATH-OR-URL [CURL-OPTION...]: the headers are in $work/headers afterwards.
request() {
  local wanted=$1 method=$2 path=$3 status
  shift 3
  status=$(curl -s -o "$work/answer" -D "$work/headers" -w '%{http_code}' -X "$method" "$@" "${at}${path#"$at"}")
  [ "$status" = "$wanted" ] || { echo "$method $path: $status instead of $wanted: $(cat "$work/answer")" >&2; exit 1; }
}
location() { sed -n 's/\r$//; s/^[Ll]ocation: //p' "$work/headers"; }
with() { case $1 in *\?*) echo "$1&$2" ;; *) echo "$1?$2" ;; esac; } # URL PARAMETER

# blob REPOSITORY TEXT [ALGORITHM] > its descriptor's digest and size as JSON
blob() {
  local digest
  printf %s "$2" > "$work/blob"
  digest=${3:-sha256}:$("${3:-sha256}sum" < "$work/blob" | cut -d ' ' -f 1)
  request 202 POST "/v2/$1/blobs/uploads/" -H 'Content-Length: 0'
  request 201 PUT "$(with "$(location)" "digest=$digest")" -H 'Content-Type: application/octet-stream' --data-binary @"$work/blob"
  jq -nc --arg digest "$digest" --argjson size "$(stat -c %s "$work/blob")" '{$digest, $size}'
}

# manifest REPOSITORY REFERENCE DOCUMENT: under its own digest where the reference is `-`. Its descriptor is in $descriptor.
manifest() {
  local type digest
  printf %s "$3" > "$work/manifest"
  digest=$(sum "$work/manifest") type=$(jq -r .mediaType "$work/manifest")
  request 201 PUT "/v2/$1/manifests/${2/#-/$digest}" -H "Content-Type: $type" --data-binary @"$work/manifest"
  descriptor=$(jq -nc --arg digest "$digest" --arg type "$type" --argjson size "$(stat -c %s "$work/manifest")" '{mediaType: $type, $digest, $size}')
  remember "$1" "manifests/$digest"
  [ "$2" = - ] || remember "$1" "manifests/$2"
}
digest_of() { jq -r .digest <<< "$1"; }

oci=application/vnd.oci.image docker=application/vnd.docker
# image KIND REPOSITORY REFERENCE SEED [JQ-FILTER]: of Docker's or OCI's types, with one layer.
image() {
  local types config layer
  case $1 in
  docker) types=("$docker.distribution.manifest.v2+json" "$docker.container.image.v1+json" "$docker.image.rootfs.diff.tar.gzip") ;;
  oci) types=("$oci.manifest.v1+json" "$oci.config.v1+json" "$oci.layer.v1.tar+gzip") ;;
  esac
  config=$(blob "$2" "{\"architecture\":\"amd64\",\"os\":\"linux\",\"seed\":\"$4\"}")
  layer=$(blob "$2" "the layer of $4")
  remember "$2" "blobs/$(digest_of "$config")"
  remember "$2" "blobs/$(digest_of "$layer")"
  manifest "$2" "$3" "$(jq -n --arg type "${types[0]}" --argjson config "$config" --argjson layer "$layer" --arg configType "${types[1]}" \
    --arg layerType "${types[2]}" '{schemaVersion: 2, mediaType: $type, config: ({mediaType: $configType} + $config), layers: [{mediaType: $layerType} + $layer]} | '"${5:-.}")"
}
index() { # TYPE REPOSITORY REFERENCE DESCRIPTOR...
  local type=$1 repository=$2 reference=$3
  shift 3
  manifest "$repository" "$reference" "$(jq -n --arg type "$type" '{schemaVersion: 2, mediaType: $type, manifests: [$ARGS.positional[] | . + {platform: {architecture: "amd64", os: "linux"}}]}' \
    --jsonargs "$@")"
}

push_common() {
  local one two subject digest
  image docker team/app v1 one; one=$descriptor
  image oci team/app v2 two; two=$descriptor
  image docker team/app latest one
  image oci team/app latest two                 # a tag that has moved
  index "$oci.index.v1+json" team/app multi "$two"
  index "$docker.distribution.manifest.list.v2+json" team/app list "$one"
  # a signature: found through `subject`, and through the tag that clients write where there are no referrers
  image oci team/app - signature '. + {subject: '"$two"', artifactType: "application/vnd.example.signature"}'
  subject=$(digest_of "$two")
  index "$oci.index.v1+json" team/app "${subject/:/-}" "$descriptor"
  # a type that nobody knows, and an image with a layer that is elsewhere
  image oci team/app artifact artifact '.config.mediaType = "application/vnd.example.thing" | .layers[0].mediaType = "text/plain"'
  image docker team/app elsewhere elsewhere '.layers += [{mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", size: 3,
    digest: "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb", urls: ["https://example.com/a"]}]'
  # a name of several parts, and a blob that is mounted from elsewhere
  image oci team/deep/er v1 deep
  digest=$(digest_of "$(blob team/app 'to be mounted')")
  request 201 POST "/v2/team/deep/er/blobs/uploads/?mount=$digest&from=team/app" -H 'Content-Length: 0'
  remember team/deep/er "blobs/$digest"
  digest=$(digest_of "$(blob team/app 'a layer of sha512' sha512)")
  remember team/app "blobs/$digest"
  image oci team/app sha512 sha512 '.layers[0] |= . + {size: 17, digest: "'"$digest"'"}'
  digest=$(digest_of "$(blob team/app 'nothing names this' sha512)")
  remember team/app "blobs/$digest"
}
push_as_other() { # REPOSITORY ALGORITHM: an image that names one of its layers by a digest of that algorithm
  local digest
  digest=$(digest_of "$(blob "$1" "a layer of $2" "$2")")
  remember "$1" "blobs/$digest"
  image oci "$1" v1 "$2" '.layers += [.layers[0] + {size: 17, digest: "'"$digest"'"}]'
}
push_deleted() { # REPOSITORY: an image that was pushed and deleted
  image oci "$1" gone deleted
  request 202 DELETE "/v2/$1/manifests/$(digest_of "$descriptor")"
}
deleted_tag() { # REPOSITORY
  image oci "$1" old two
  request 202 DELETE "/v2/$1/manifests/old"
}
chunk_left() { # REPOSITORY: an upload that nobody finishes
  request 202 POST "/v2/$1/blobs/uploads/" -H 'Content-Length: 0'
  request 202 PATCH "$(location)" -H 'Content-Type: application/octet-stream' -H 'Content-Range: 0-4' --data-binary begun
}
push_sparse() { # REPOSITORY: an index with a child that never came
  image oci "$1" child child
  index "$oci.index.v1+json" "$1" v1 "$descriptor" \
    "{\"mediaType\": \"$oci.manifest.v1+json\", \"size\": 3, \"digest\": \"sha256:3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d\"}"
}
push_without_layers() { # REPOSITORY
  image oci "$1" hollow hollow '.layers += [{mediaType: "text/plain", size: 3, digest: "sha256:2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6"}]'
}
push_untagged() { # REPOSITORY: its digest is in $untagged
  image oci "$1" v1 tagged
  image oci "$1" - untagged
  untagged=$(digest_of "$descriptor")
}
push_trashed() { # REPOSITORY: what its tag v1 names is in $trashed
  image oci "$1" - trashed
  request 201 PUT "/v2/$1/manifests/v1" -H "Content-Type: $oci.manifest.v1+json" --data-binary @"$work/manifest"
  trashed=$(digest_of "$descriptor")
}

# answers > what the registry says of everything that was pushed
answers() {
  local each status
  for each in "${repositories[@]}"; do
    status=$(curl -s -o "$work/answer" -w '%{http_code}' "$at/v2/$each/tags/list")
    [ "$status" = 404 ] || echo "tags $each $(jq -r '.tags // [] | sort | join(" ")' "$work/answer")"
  done | sed 's/ $//' | sort
  for each in $(printf '%s\n' "${asked[@]}" | sort -u); do
    status=$(curl -s -o "$work/answer" -D "$work/headers" -w '%{http_code}' "$at$each" \
      -H "Accept: $oci.manifest.v1+json, $oci.index.v1+json, $docker.distribution.manifest.v2+json, $docker.distribution.manifest.list.v2+json, */*")
    echo "get $each $status$([ "$status" != 200 ] || echo " $(header Content-Type) $(header Docker-Content-Digest) $(sum "$work/answer")")"
  done
}
header() { sed -n "s/\r\$//; s/^$1: //Ip" "$work/headers"; }
