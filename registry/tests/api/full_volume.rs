//! A real file system without a free byte and without a free inode under the program itself.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use http::Method;
use portolan_oci::{Algorithm, Digest};

use crate::client::{Answer, Target};
use crate::fixture::Manifest;
use crate::mounted::{Mounted, is_root};
use crate::program::Served;

const TMPFS: &str = "mount -t tmpfs -o size=12m,nr_inodes=1000 tmpfs \"$1\"";
const EXT4: &str = "truncate -s 16M \"$2\"; PATH=$PATH:/usr/sbin:/sbin; mkfs.ext4 -q -b 1024 -m 0 -N 512 \"$2\"; \
                    mount -o loop \"$2\" \"$1\"";

const LAYERS: u8 = 12;
const LAYER_BYTES: usize = 100 << 10;

pub(crate) async fn push_blob(target: &Target, content: Vec<u8>) -> Answer {
    let digest = Digest::of(Algorithm::Sha256, &content);
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    target.asking(Method::POST, &path).body(content).send().await
}

/// Pushes an image over `{}` and one layer, whose blobs are there.
pub(crate) async fn push_image(target: &Target, tag: &str, layer: &[u8]) -> Digest {
    push_blob(target, b"{}".to_vec()).await.expect(201);
    push_blob(target, layer.to_vec()).await.expect(201);
    let layer_digest = Digest::of(Algorithm::Sha256, layer);
    let manifest = Manifest::image(&layer_digest, layer.len(), None);
    put(target, tag, &manifest).await.expect(201);
    manifest.digest
}

pub(crate) async fn put(target: &Target, tag: &str, manifest: &Manifest) -> Answer {
    target
        .asking(Method::PUT, &format!("/v2/a/manifests/{tag}"))
        .header("content-type", manifest.media_type)
        .body(manifest.text.clone())
        .send()
        .await
}

/// Takes every inode, then every byte.
fn fill(volume: &Path) {
    let directory = volume.join("filler");
    fs::create_dir(&directory).unwrap();
    let mut filler = File::create(directory.join("bytes")).unwrap();
    for number in 0.. {
        match File::create(directory.join(number.to_string())) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::StorageFull);
                break;
            }
        }
    }
    for size in [1 << 16, 1 << 10, 1] {
        let piece = vec![0; size];
        while filler.write_all(&piece).is_ok() {}
    }
    filler.sync_all().unwrap();
    let space = rustix::fs::statvfs(volume).unwrap();
    assert_eq!((space.f_bavail, space.f_favail), (0, 0));
}

/// Leaves no room in a directory for another short name. Needs no inode, and no more space than the directory has.
fn crowd(directory: &Path, file: &Path) {
    for number in 1000.. {
        if let Err(error) = fs::hard_link(file, directory.join(number.to_string())) {
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            break;
        }
    }
}

fn reserved_bytes(volume: &Path) -> u64 {
    fs::metadata(volume.join("portolan/v1/reserve/bytes"))
        .unwrap()
        .blocks()
        * 512
}

fn is_reserve_held(mounted: &Mounted) -> bool {
    let output = mounted
        .registry(&["admin", "status", "--output", "json"])
        .output()
        .unwrap();
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    status["volume"]["reserveHeld"].as_bool().unwrap()
}

/// P71.
#[tokio::test]
async fn a_full_volume_serves_pulls_deletes_and_collects_and_takes_pushes_again() {
    full_volume(TMPFS).await;
    if is_root() {
        full_volume(EXT4).await;
    }
}

async fn full_volume(mount: &str) {
    let mounted = Mounted::new(mount);
    let volume = mounted.seen_from_outside();
    let mut served = Served::start(&mut mounted.registry(&["serve"]));
    let target = &served.target;
    push_image(target, "kept", b"kept").await;
    push_image(target, "untagged", b"untagged").await;
    let mut gone = Vec::new();
    for number in 0..LAYERS {
        let layer = vec![number; LAYER_BYTES];
        gone.push(push_image(target, &format!("gone-{number}"), &layer).await);
    }
    let kept_bytes = reserved_bytes(&volume);
    assert!(kept_bytes > 100 << 10, "{kept_bytes}");

    let begun = target.post("/v2/a/blobs/uploads/").await.expect(202);
    let upload = begun.header("location");

    fill(&volume);
    let chunk = target.asking(Method::PATCH, upload).body("chunk");
    let refused = chunk.send().await.expect(507);
    assert_eq!(
        (refused.header("location"), refused.header("range")),
        (upload, "0-0"),
        "the upload goes on, and the client is not told where"
    );
    let refused = push_blob(target, b"more".to_vec()).await.expect(507);
    assert!(
        refused.text().contains("volume is full: delete images"),
        "{refused:?}"
    );
    let uploads = fs::read_dir(volume.join("portolan/v1/uploads")).unwrap();
    let record = uploads.map(|it| it.unwrap().path().extension().unwrap().to_owned());
    assert!(
        record.eq(["json"]),
        "nothing but the record of the upload that goes on"
    );
    let blob = Digest::of(Algorithm::Sha256, b"kept");
    assert_eq!(
        target
            .get(&format!("/v2/a/blobs/{blob}"))
            .await
            .expect(200)
            .text(),
        "kept"
    );
    target.get("/v2/a/manifests/kept").await.expect(200);
    assert_eq!(reserved_bytes(&volume), kept_bytes, "a push has used the reserve");

    if mount == EXT4 {
        crowd(&volume.join("portolan/v1/tmp"), &volume.join("filler/0"));
        target.delete("/v2/a/manifests/gone-0").await.expect(202);
        assert_eq!(reserved_bytes(&volume), 0, "the delete needed no reserve");
    } else {
        drop(served);
        served = Served::start(&mut mounted.registry(&["serve"]));
        assert!(served.said.contains("the reserve is used"), "{}", served.said);
    }
    let target = &served.target;
    push_blob(target, b"more".to_vec()).await.expect(507);
    target.get("/v2/a/manifests/kept").await.expect(200);
    for digest in &gone {
        target
            .delete(&format!("/v2/a/manifests/{digest}"))
            .await
            .expect(202);
    }
    // one that only a record of its age could be kept of
    target.delete("/v2/a/manifests/untagged").await.expect(202);
    assert!(!is_reserve_held(&mounted));
    let collected = mounted
        .registry(&["gc", "--grace", "0s", "--untagged-after", "1h"])
        .output()
        .unwrap();
    assert!(collected.status.success(), "{collected:?}");
    push_image(target, "new", b"new").await;
    // in pieces it takes another block, which tells where they are
    let kept_again = reserved_bytes(&volume);
    assert!(kept_again >= kept_bytes, "{kept_again}");
    assert!(is_reserve_held(&mounted));
    target.get("/v2/a/manifests/kept").await.expect(200);
}
