//! A directory of the volume that the program may not write any more while it runs: what clients hear, and the log.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use crate::client::{Answer, Target};
use crate::fixture::Manifest;
use crate::full_volume::{push_blob, push_image, put};
use crate::program::{Served, executable, other_user, program_as};

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A volume of a user to whom permissions apply.
fn volume_in(directory: &Path) -> PathBuf {
    allow(directory, 0o755);
    let volume = directory.join("volume");
    fs::create_dir(&volume).unwrap();
    chown(&volume, other_user(), other_user()).unwrap();
    volume
}

fn serve(volume: &Path) -> Served {
    let executable = executable();
    let mut command = program_as(other_user(), &executable, &["serve"]);
    command.env("REGISTRY_HTTP_ADDR", "127.0.0.1:0");
    command.env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", volume);
    Served::start(&mut command)
}

async fn push_layer(target: &Target) -> Answer {
    push_blob(target, b"another layer".to_vec()).await
}

async fn move_tag(target: &Target) -> Answer {
    put(target, "v1", &Manifest::index(&[])).await
}

/// Lets a push be refused for the sake of that directory, and returns the only line of the log that tells of it.
async fn refused(served: Served, closed: &Path, push: impl AsyncFn(&Target) -> Answer) -> String {
    allow(closed, 0o500);
    let refused = push(&served.target).await.expect(500);
    assert_eq!(refused.code(), "UNKNOWN");
    assert!(!refused.text().contains("read-only"), "{refused:?}");
    assert!(!refused.text().contains("docker/registry"), "{refused:?}");
    assert_eq!(refused.header("allow"), "");
    allow(closed, 0o700);
    push(&served.target).await.expect(201);
    let (_, log) = served.stop("-TERM");
    let mut told: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).collect();
    let id = refused.json()["errors"][0]["detail"]["requestId"].clone();
    assert!(told.len() == 1 && told[0].contains(id.as_str().unwrap()), "{log}");
    told.remove(0).to_owned()
}

#[tokio::test]
async fn permission_lost_while_running_is_a_failure_of_the_registry_and_the_log_has_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let volume = volume_in(directory.path());
    let user = other_user().unwrap_or_else(|| rustix::process::geteuid().as_raw());
    let below = volume.join("docker/registry/v2");
    let (blobs, tag) = (
        below.join("blobs/sha256"),
        below.join("repositories/a/_manifests/tags/v1/current"),
    );
    for is_new in [true, false] {
        let served = serve(&volume);
        push_image(&served.target, "v1", b"layer").await;
        // that of the file which is there already, too
        let (closed, line) = if is_new {
            (&blobs, refused(served, &blobs, push_layer).await)
        } else {
            (&tag, refused(served, &tag, move_tag).await)
        };
        let sentence = format!(
            "\"{}\" cannot be written by user {user}, although it is that user's: run `chmod -R u+rwX {}`",
            closed.display(),
            volume.display()
        );
        assert!(line.contains(&sentence), "{line}");
    }
}

#[tokio::test]
async fn permission_that_is_missing_at_start_leaves_a_registry_that_is_read_only() {
    let directory = tempfile::tempdir().unwrap();
    let volume = volume_in(directory.path());
    let served = serve(&volume);
    push_image(&served.target, "v1", b"layer").await;
    served.stop("-TERM");
    let closed = volume.join("docker/registry/v2/blobs/sha256");
    allow(&closed, 0o500);
    let served = serve(&volume);
    assert!(served.said.contains("only serves pulls"), "{}", served.said);
    let refused = push_layer(&served.target).await.expect(405);
    assert!(refused.text().contains("read-only"), "{refused:?}");
    served.target.get("/v2/a/manifests/v1").await.expect(200);
    allow(&closed, 0o700);
}
