//! Volumes that other programs and earlier versions have written (`tests/golden`): each is served as its writer served it, nothing
//! is wrong with it, and a collection keeps all that anything names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use http::Method;
use portolan_oci::{Algorithm, Digest};

use crate::fixture::{Registry, started};
use crate::program::{plain, program};

/// A copy of a volume, and what its writer answered.
struct Golden {
    tree: &'static str,
    directory: tempfile::TempDir,
    expected: Vec<Expected>,
    tags: Vec<(String, Vec<String>)>,
}

/// One answer: the path, and unless it was 404 the content type and the digest of the body.
struct Expected {
    path: String,
    found: Option<(String, String)>,
}

const NEVER_CAME: &str = "sha256:3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d";
const SUBJECT: &str = "sha256:01202ef8197f21d743d712d91af52823d6f0d381c88b9a23dd753ac096db92c8";
const SIGNATURE: &str = "sha256:f316887bcfe59eb08659d8ec2f35c2fca6df096f6f9c846e71e9fde5662a4b23";
/// Without a tag, but `inuse.json` names the one, and the other was deleted and may come back.
const KEPT: [&str; 2] = [
    "team/untagged/manifests/sha256:cd2c87842f4a8fa6b0adecdb0274f69c61a417b1329b05cc32716752723abd1f",
    "team/trashed/manifests/sha256:caaeebcb1a2043e179eaa58ea6098994f15e7dcd385e20229f3a50954b1bab2f",
];

fn committed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

impl Golden {
    /// Unpacked as if it had been written now.
    fn of(tree: &'static str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let archive = committed(&format!("{tree}.tar.gz"));
        let status = Command::new("tar")
            .args(["--no-same-owner", "-mxzf"])
            .arg(archive)
            .arg("-C")
            .arg(directory.path())
            .status()
            .unwrap();
        assert!(status.success());
        let (mut expected, mut tags) = (Vec::new(), Vec::new());
        for line in std::fs::read_to_string(committed(&format!("{tree}.expected")))
            .unwrap()
            .lines()
        {
            let mut words = line.split(' ').map(str::to_owned);
            let (kind, what) = (words.next().unwrap(), words.next().unwrap());
            let rest: Vec<String> = words.collect();
            if kind == "tags" {
                tags.push((what, rest));
                continue;
            }
            let found = (rest[0] == "200").then(|| (rest[1].clone(), rest[3].clone()));
            assert!(found.is_some() || rest[0] == "404", "{line}");
            expected.push(Expected { path: what, found });
        }
        assert!(expected.len() > 40 && tags.len() >= 4, "{tree}");
        Self {
            tree,
            directory,
            expected,
            tags,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join("portolan/v1").join(name)
    }

    fn has_link(&self, repository: &str, digest: &str) -> bool {
        let repository = self
            .directory
            .path()
            .join("docker/registry/v2/repositories")
            .join(repository);
        let link = format!("_layers/{}/link", digest.replace(':', "/"));
        repository.join(link).exists()
    }

    async fn serve(&self) -> Registry {
        started(|config, _| self.directory.path().clone_into(&mut config.storage.volume.path)).await
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = program(arguments);
        match arguments[0] {
            "fsck" => command.arg("--directory").arg(self.directory.path()),
            _ => command.arg("--socket").arg(self.file("admin.sock")),
        };
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }

    async fn said(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// But for an index of registry:2 with a child that is not there: it keeps no record of what never came.
    async fn nothing_is_wrong(&self) {
        let arguments = ["fsck", "--deep", "--output", "json"];
        let output = self.run(&arguments).await;
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let known = |it: &serde_json::Value| self.tree == "registry-3.1" && it["what"] == NEVER_CAME;
        assert_eq!(
            findings.len(),
            findings.iter().filter(|it| known(it)).count(),
            "{report:#}"
        );
    }

    /// All of it, but for these paths, which are gone.
    async fn is_served(&self, registry: &Registry, gone: &BTreeSet<&str>) {
        for expected in &self.expected {
            let path = &expected.path;
            let answer = registry.get(path).await;
            match &expected.found {
                Some((content_type, digest)) if !gone.contains(path.as_str()) => {
                    let answer = answer.expect(200);
                    assert_eq!(answer.header("content-type"), content_type, "{path}");
                    assert_eq!(
                        Digest::of(Algorithm::Sha256, &answer.body).as_str(),
                        digest,
                        "{path}"
                    );
                    let says = answer.header("docker-content-digest");
                    assert!(says == digest || path.ends_with(says), "{path}: {says}");
                }
                _ => {
                    answer.expect(404);
                }
            }
        }
        let mut names = Vec::new();
        for (repository, tags) in &self.tags {
            let list = registry.get(&format!("/v2/{repository}/tags/list")).await;
            let list = list.expect(200).json();
            assert_eq!(list["tags"], serde_json::json!(tags), "{repository}");
            names.push(repository.as_str());
        }
        let catalog = registry.get("/v2/_catalog").await.expect(200).json();
        assert_eq!(catalog["repositories"], serde_json::json!(names));
    }

    /// The blobs that no manifest names: what a collection may remove.
    async fn unneeded(&self, registry: &Registry) -> BTreeSet<&str> {
        let mut named = BTreeSet::new();
        for expected in &self.expected {
            let Some((repository, _)) = expected.path.split_once("/manifests/") else {
                continue;
            };
            if expected.found.is_none() {
                continue;
            }
            let manifest = registry.get(&expected.path).await.expect(200).json();
            let layers = manifest["layers"].as_array().into_iter().flatten();
            let signed = manifest["fsLayers"].as_array().into_iter().flatten();
            named.extend(
                layers
                    .chain([&manifest["config"]])
                    .map(|it| &it["digest"])
                    .chain(signed.map(|it| &it["blobSum"]))
                    .filter_map(|digest| digest.as_str())
                    .map(|digest| format!("{repository}/blobs/{digest}")),
            );
        }
        self.expected
            .iter()
            .filter(|it| it.path.contains("/blobs/") && it.found.is_some() && !named.contains(&it.path))
            .map(|it| it.path.as_str())
            .collect()
    }
}

/// What holds for every volume; returns the server with what is left after a collection without grace.
async fn holds(tree: &'static str) -> (Golden, Registry) {
    let golden = Golden::of(tree);
    golden.nothing_is_wrong().await;
    let registry = golden.serve().await;
    let none = BTreeSet::new();
    golden.is_served(&registry, &none).await;
    golden.said(&["gc", "--grace", "0s", "--dry-run"]).await;
    golden.is_served(&registry, &none).await;
    let unneeded = golden.unneeded(&registry).await;
    assert_eq!(unneeded.len(), 3, "{unneeded:?}");
    if tree.starts_with("portolan") {
        let said = golden.said(&["gc", "--grace", "0s"]).await;
        assert!(said.contains("golden"), "{said}");
        golden.is_served(&registry, &none).await; // a hold is in force
        golden.said(&["admin", "release", "golden"]).await;
    }
    golden.said(&["gc", "--grace", "0s"]).await;
    golden.is_served(&registry, &unneeded).await;
    golden.nothing_is_wrong().await;
    let image = registry
        .push_image("team/app", "new", "pushed by this version")
        .await;
    let answer = registry.get("/v2/team/app/manifests/new").await.expect(200);
    assert_eq!(answer.text(), image.text);
    drop(unneeded);
    (golden, registry)
}

#[tokio::test]
async fn a_volume_of_registry_2_8_is_served_byte_for_byte_and_keeps_what_is_needed() {
    holds("registry-2.8").await;
}

#[tokio::test]
async fn a_volume_of_registry_2_8_with_a_sha384_is_served_byte_for_byte_and_keeps_what_is_needed() {
    holds("registry-2.8-sha384").await;
}

#[tokio::test]
async fn a_volume_of_registry_3_1_is_served_byte_for_byte_and_keeps_what_is_needed() {
    holds("registry-3.1").await;
}

/// Of a blob that was pushed by another algorithm: that by which it is named, and that of the content, without which registry:2 does
/// not serve it.
#[tokio::test]
async fn a_volume_of_registry_2_keeps_both_links_of_what_is_needed_and_a_mount_writes_both() {
    for (tree, needed) in [
        ("registry-2.8", vec![Algorithm::Sha512]),
        ("registry-2.8-sha384", vec![Algorithm::Sha384, Algorithm::Sha512]),
        ("registry-3.1", vec![Algorithm::Sha512]),
    ] {
        let (golden, registry) = holds(tree).await;
        let blobs = golden.expected.iter().filter(|it| it.path.contains("/blobs/"));
        let named = blobs.filter(|it| !it.path.contains("/blobs/sha256:"));
        let mut kept = Vec::new();
        for expected in named {
            let (repository, pushed) = expected.path[4..].split_once("/blobs/").unwrap();
            let (_, content) = expected.found.as_ref().unwrap();
            let has_both = |name: &str| [pushed, content].map(|digest| golden.has_link(name, digest));
            if has_both(repository) == [false, false] {
                continue; // nothing names it
            }
            kept.push(pushed.parse::<Digest>().unwrap().algorithm());
            let blob = format!("/v2/{repository}/blobs/{content}");
            registry.delete(&blob).await.expect(405);
            let mount = format!("/v2/team/mounted/blobs/uploads/?mount={pushed}&from={repository}");
            registry.asking(Method::POST, &mount).send().await.expect(201);
            for name in [repository, "team/mounted"] {
                assert_eq!(has_both(name), [true, true], "{tree} {name}");
            }
        }
        kept.sort_unstable();
        assert_eq!(kept, needed, "{tree}");
    }
}

#[tokio::test]
async fn every_volume_lists_the_referrers_that_it_had() {
    for tree in [
        "registry-2.8",
        "registry-2.8-sha384",
        "registry-3.1",
        "portolan-0.1",
    ] {
        let golden = Golden::of(tree);
        let registry = golden.serve().await;
        let path = format!("/v2/team/app/referrers/{SUBJECT}");
        let list = registry.get(&path).await.expect(200).json();
        assert_eq!(list["manifests"][0]["digest"], SIGNATURE, "{tree}: {list}");
    }
}

#[tokio::test]
async fn a_volume_of_0_1_is_served_byte_for_byte_and_keeps_what_its_records_tell() {
    let (golden, registry) = holds("portolan-0.1").await;
    let all = [
        "gc",
        "--grace",
        "0s",
        "--untagged-after",
        "1s",
        "--output",
        "json",
    ];
    let report: serde_json::Value = serde_json::from_str(&golden.said(&all).await).unwrap();
    assert_eq!(report["kept"]["inUse"], 1, "{report:#}");
    assert_eq!(report["kept"]["trash"], 1, "{report:#}");
    for path in KEPT {
        registry.get(&format!("/v2/{path}")).await.expect(200);
    }
    golden.nothing_is_wrong().await;
}

#[tokio::test]
async fn an_upload_that_0_1_began_is_finished() {
    let golden = Golden::of("portolan-0.1");
    let files = std::fs::read_dir(golden.file("uploads")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let sessions: Vec<String> = names
        .filter_map(|it| Some(it.strip_suffix(".json")?.to_owned()))
        .collect();
    let registry = golden.serve().await;
    let path = format!("/v2/team/app/blobs/uploads/{}", sessions[0]);
    let answer = registry.get(&path).await.expect(204);
    assert_eq!(answer.header("range"), "0-4");
    let location = answer.header("location");
    let digest = Digest::of(Algorithm::Sha256, b"begun and done");
    let end = format!("{location}?digest={digest}");
    let put = registry.asking(Method::PUT, &end).body(b" and done".to_vec());
    put.send().await.expect(201);
    let blob = registry.get(&format!("/v2/team/app/blobs/{digest}")).await;
    assert_eq!(blob.expect(200).text(), "begun and done");
}

#[tokio::test]
async fn a_volume_with_a_feature_of_a_later_version_is_served_and_not_collected() {
    let golden = Golden::of("portolan-0.1");
    let format = "{\"format\":1,\"features\":[\"tag-history\"],\"since\":\"9.0\"}\n";
    std::fs::write(golden.file("FORMAT"), format).unwrap();
    let registry = golden.serve().await;
    golden.is_served(&registry, &BTreeSet::new()).await;
    registry.push_image("team/app", "new", "pushed").await;
    registry.get("/v2/team/app/manifests/new").await.expect(200);
    registry.delete("/v2/team/app/manifests/new").await.expect(202);
    golden.said(&["admin", "release", "golden"]).await;
    for arguments in [&["gc", "--grace", "0s"][..], &["gc", "--dry-run"]] {
        let output = golden.run(arguments).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert!(
            sentence.contains("tag-history") && sentence.contains("FORMAT"),
            "{sentence}"
        );
    }
    golden.is_served(&registry, &BTreeSet::new()).await;
    drop(registry);
    assert_eq!(std::fs::read_to_string(golden.file("FORMAT")).unwrap(), format);
}

#[test]
fn a_volume_of_a_later_format_is_refused_with_a_sentence() {
    let golden = Golden::of("portolan-0.1");
    std::fs::write(golden.file("FORMAT"), "{\"format\":2,\"features\":[]}\n").unwrap();
    let output = plain(golden.directory.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert!(sentence.contains("format 2"), "{sentence}");
}
