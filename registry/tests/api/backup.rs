//! The scripts of docs/backup.md: a backup beside pushes and deletes, and what a restore makes of it.

use std::path::Path;
use std::process::{Command, Output};

use tokio_util::sync::CancellationToken;

use crate::fixture::{Manifest, Registry, open, started};

/// The script below a comment with that word, about other directories.
fn script(word: &str, volume: &Path, backup: &Path) -> String {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/backup.md")).unwrap();
    let (_, rest) = page.split_once(&format!("<!-- {word} -->\n```sh\n")).unwrap();
    let script = rest.split("```").next().unwrap();
    script
        .replace("/var/lib/registry", volume.to_str().unwrap())
        .replace("/srv/backup", backup.to_str().unwrap())
}

async fn run(script: String) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_portolan-registry"));
    let path = format!("{}:{}", program.parent().unwrap().display(), env!("PATH"));
    let mut command = Command::new("sh");
    command.env("PATH", path).args(["-c", &script]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

/// Pushes and deletes until told to stop.
async fn churn(registry: &Registry, stop: &CancellationToken) {
    for number in 0.. {
        if stop.is_cancelled() {
            return;
        }
        let manifest = registry
            .push_image("team/churn", "latest", &format!("churn {number}"))
            .await;
        if number % 2 == 0 {
            let path = format!("/v2/team/churn/manifests/{}", manifest.digest);
            registry.delete(&path).await.expect(202);
        }
    }
}

async fn assert_pulls(registry: &Registry, tag: &str, manifest: &Manifest, layer: &str) {
    let answer = registry
        .get(&format!("/v2/team/app/manifests/{tag}"))
        .await
        .expect(200);
    assert_eq!(answer.text(), manifest.text);
    let digest = portolan_oci::Digest::of(portolan_oci::Algorithm::Sha256, layer.as_bytes());
    let answer = registry
        .get(&format!("/v2/team/app/blobs/{digest}"))
        .await
        .expect(200);
    assert_eq!(answer.text(), layer);
}

#[tokio::test]
async fn a_backup_beside_pushes_and_deletes_restores_everything_acknowledged_before() {
    let registry = open().await;
    let mut images = Vec::new();
    for number in 0..5 {
        let (tag, layer) = (format!("v{number}"), format!("layer {number}"));
        let manifest = registry.push_image("team/app", &tag, &layer).await;
        images.push((tag, manifest, layer));
    }
    let (volume, backup) = (
        registry.directory.path().join("volume"),
        registry.directory.path().join("backup"),
    );
    let stop = CancellationToken::new();
    let backing = async {
        run(script("backup", &volume, &backup)).await;
        stop.cancel();
    };
    tokio::join!(churn(&registry, &stop), backing);
    let socket = volume.join("portolan/v1/admin.sock");
    let holds = run(format!(
        "portolan-registry admin holds --socket '{}'",
        socket.display()
    ))
    .await;
    assert_eq!(String::from_utf8(holds.stdout).unwrap(), "There is no hold.\n");

    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("volume");
    let output = run(script("restore", &target, &backup)).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with("Nothing is wrong.\n"), "{text}");
    let restored = started(|config, _| config.storage.volume.path.clone_from(&target)).await;
    for (tag, manifest, layer) in &images {
        assert_pulls(&restored, tag, manifest, layer).await;
    }
}
