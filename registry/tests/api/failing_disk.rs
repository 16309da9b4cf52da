//! A real file system whose disk fails under the program itself: what is written does not reach it, and fsync says so.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use portolan_oci::{Algorithm, Digest};

use crate::client::{Answer, Target};
use crate::fixture::{Manifest, eventually};
use crate::full_volume::{push_blob, push_image, put};
use crate::mounted::{Mounted, is_root};
use crate::program::Served;

/// The disk is a file with holes in a small file system of its own: once that is full, no hole can be written.
const MOUNT: &str = "mkdir \"$2\"; mount -t tmpfs -o size=24m tmpfs \"$2\"; truncate -s 64M \"$2/disk\"; \
                     PATH=$PATH:/usr/sbin:/sbin; \
                     mkfs.ext4 -q -b 1024 -m 0 -N 2000 -E lazy_itable_init=0,lazy_journal_init=0 \"$2/disk\"; \
                     mount -o loop \"$2/disk\" \"$1\"";
/// What an administrator does; e2fsck ends with 1 when it has mended something.
const REPAIR: &str = "rm \"$2/filler\"; umount \"$1\"; PATH=$PATH:/usr/sbin:/sbin; \
                      e2fsck -fy \"$2/disk\" || [ $? = 1 ]; mount -o loop \"$2/disk\" \"$1\"";

fn serve(mounted: &Mounted) -> Served {
    let config = mounted.volume().with_file_name("config.yaml");
    fs::write(&config, "health: {address: '127.0.0.1:0'}\n").unwrap();
    Served::start(&mut mounted.registry(&["serve", "--config", config.to_str().unwrap()]))
}

fn fail_disk(volume: &Path) {
    rustix::fs::syncfs(File::open(volume).unwrap()).unwrap();
    let mut filler = File::create(volume.with_file_name("image").join("filler")).unwrap();
    for size in [1 << 16, 1 << 12] {
        while filler.write_all(&vec![0; size]).is_ok() {}
    }
}

/// Pushes an image with a new layer, over a config that is there.
async fn push(target: &Target, tag: &str, layer: &str) -> (Digest, Answer) {
    let digest = Digest::of(Algorithm::Sha256, layer.as_bytes());
    let manifest = Manifest::image(&digest, layer.len(), None);
    let mut answer = push_blob(target, layer.as_bytes().to_vec()).await;
    if answer.status == 201 {
        answer = put(target, tag, &manifest).await;
    }
    (manifest.digest, answer)
}

async fn assert_pulls(target: &Target, acknowledged: &[(String, Digest, String)]) {
    for (tag, digest, layer) in acknowledged {
        let answer = target.get(&format!("/v2/a/manifests/{tag}")).await.expect(200);
        assert_eq!(Digest::of(Algorithm::Sha256, &answer.body), *digest);
        let blob = Digest::of(Algorithm::Sha256, layer.as_bytes());
        let answer = target.get(&format!("/v2/a/blobs/{blob}")).await.expect(200);
        assert_eq!(answer.text(), layer);
    }
}

async fn assert_serves_pulls_only(served: &Served) {
    let health = served.health.as_ref().unwrap();
    health.get("/readyz").await.expect(200);
    let metrics = health.get("/metrics").await.expect(200);
    let is_told = metrics.text().contains("portolan_registry_storage_read_only 1\n");
    assert!(is_told, "{}", metrics.text());
}

#[tokio::test]
async fn after_an_fsync_that_failed_on_a_real_disk_pulls_go_on_and_nothing_acknowledged_is_lost() {
    if !is_root() {
        return; // who is not may not use loop devices
    }
    let mounted = Mounted::new(MOUNT);
    let volume = mounted.seen_from_outside();
    let served = serve(&mounted);
    let mut acknowledged = Vec::new();
    for layer in ["one", "two", "three"] {
        let digest = push_image(&served.target, layer, layer.as_bytes()).await;
        acknowledged.push((layer.to_owned(), digest, layer.to_owned()));
    }

    fail_disk(&volume);
    let (mut refused, mut statuses) = (None, Vec::new());
    let latest = Instant::now() + Duration::from_secs(30);
    for number in 0.. {
        assert!(Instant::now() < latest, "{statuses:?}");
        let tag = format!("lost-{number}");
        let layer = tag.repeat(if number % 2 == 0 { 100_000 } else { 10 });
        let (digest, answer) = push(&served.target, &tag, &layer).await;
        statuses.push(answer.status.as_u16());
        match answer.status.as_u16() {
            201 => acknowledged.push((tag, digest, layer)),
            507 => {} // the kernel may tell what the disk lacks
            _ => {
                refused = Some(answer.expect(503));
                break;
            }
        }
    }
    let Some(refused) = refused else {
        panic!("{statuses:?}")
    };
    assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
    push_blob(&served.target, b"x".to_vec()).await.expect(503);
    served.target.delete("/v2/a/manifests/one").await.expect(503);
    assert_pulls(&served.target, &acknowledged).await;
    assert_serves_pulls_only(&served).await;
    let told = mounted.registry(&["admin", "status"]).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(
        told.contains("refused: fsync of") && told.contains("restart the registry"),
        "{told}"
    );

    let (_, log) = served.stop("-KILL");
    let failed = log.lines().filter(|line| line.contains("fsync of"));
    let (once, of_requests): (Vec<_>, Vec<_>) =
        failed.partition(|line| line.contains("storage.volume.path: "));
    assert_eq!(once.len(), 1, "{log}");
    assert!(once[0].contains("ERROR") && !of_requests.is_empty(), "{log}");
    assert!(
        of_requests.iter().all(|line| line.contains("request_id")),
        "{log}"
    );
    eventually("the file system gives up", || {
        let _ = rustix::fs::syncfs(File::open(&volume).unwrap());
        let written = fs::write(volume.join("by-hand"), b"");
        let is_over = written.is_err_and(|error| error.kind() == io::ErrorKind::ReadOnlyFilesystem);
        async move { is_over }
    })
    .await;
    let served = serve(&mounted);
    let status = push_blob(&served.target, b"x".to_vec()).await.status.as_u16();
    // a kernel that says in the flags of the mount what it has done gets the answer of a read-only mount
    assert!([405, 503].contains(&status), "{status}");
    assert_pulls(&served.target, &acknowledged).await;
    assert_serves_pulls_only(&served).await;

    drop(served);
    let (at, below) = (mounted.volume(), mounted.volume().with_file_name("image"));
    let arguments = [at.to_str().unwrap(), below.to_str().unwrap()];
    let repaired = mounted
        .command(&[&["sh", "-ec", REPAIR, "sh"], &arguments[..]].concat())
        .output();
    let repaired = repaired.unwrap();
    assert!(repaired.status.success(), "{repaired:?}");
    let served = serve(&mounted);
    assert_pulls(&served.target, &acknowledged).await;
    push_image(&served.target, "new", b"new").await;
    drop(served);
    let checked = mounted.registry(&["fsck", "--deep"]).output().unwrap();
    let text = String::from_utf8(checked.stdout).unwrap();
    assert!(text.ends_with("Nothing is wrong.\n"), "{text}");
}
