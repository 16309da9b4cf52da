# Sourced by inside: images as OCI layouts, made without any client. Two layers, of which the second is of the given size and cannot
# be compressed; another seed gives another image.

# put_blob LAYOUT FILE: moves it among the blobs; prints `"digest": …, "size": …`.
put_blob() {
  local digest size
  digest=$(sha256sum < "$2" | cut -d ' ' -f 1)
  size=$(stat -c %s "$2")
  mv "$2" "$1/blobs/sha256/$digest"
  printf '"digest": "sha256:%s", "size": %s' "$digest" "$size"
}

# make_image LAYOUT SEED [MIB]: prints the digest of its manifest.
make_image() {
  local layout=$1 seed=$2 mib=${3:-1} files=$1.files small large first second configuration manifest
  rm -rf "$layout" "$files"
  mkdir -p "$layout/blobs/sha256" "$files"
  echo "$seed" > "$files/seed"
  openssl enc -aes-128-ctr -nosalt -pass "pass:$seed" -md sha256 -in /dev/zero 2> /dev/null | head -c "${mib}M" > "$files/noise"
  for each in seed noise; do
    tar -C "$files" --owner 0 --group 0 --mtime @0 -cf "$layout/$each.tar" "$each"
  done
  small=$(sha256sum < "$layout/seed.tar") large=$(sha256sum < "$layout/noise.tar")
  gzip -n1 "$layout/seed.tar" "$layout/noise.tar"
  first=$(put_blob "$layout" "$layout/seed.tar.gz")
  second=$(put_blob "$layout" "$layout/noise.tar.gz")
  printf '{"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ["sha256:%s", "sha256:%s"]}}' \
    "${small%% *}" "${large%% *}" > "$layout/new"
  configuration=$(put_blob "$layout" "$layout/new")
  printf '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
 "config": {"mediaType": "application/vnd.oci.image.config.v1+json", %s},
 "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", %s}, {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", %s}]}' \
    "$configuration" "$first" "$second" > "$layout/new"
  manifest=$(put_blob "$layout" "$layout/new")
  printf '{"imageLayoutVersion": "1.0.0"}' > "$layout/oci-layout"
  printf '{"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", %s,
 "annotations": {"org.opencontainers.image.ref.name": "v1"}}]}' "$manifest" > "$layout/index.json"
  rm -rf "$files"
  jq -r '.manifests[0].digest' "$layout/index.json"
}
# large_layer LAYOUT: the digest of the second layer.
large_layer() { jq -r '.layers[1].digest' "$1/blobs/sha256/$(jq -r '.manifests[0].digest | ltrimstr("sha256:")' "$1/index.json")"; }
