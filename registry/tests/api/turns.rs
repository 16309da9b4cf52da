//! Requests that read much of the volume, many at once: the others do not wait for them.

use std::fs::{self, OpenOptions};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::Method;
use portolan_oci::{Algorithm, Digest};
use rustix::fs::{CWD, Mode, mkfifoat};

use crate::fixture::{PASSWORD, Registry, guarded, open};

/// Runs a test over so few threads for storage work. If it fails, some of them never end.
fn with_threads(most: usize, test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(most)
        .enable_all()
        .build()
        .unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(test)));
    runtime.shutdown_background();
    outcome.unwrap_or_else(|panic| resume_unwind(panic));
}

async fn soon<T>(answer: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(Duration::from_secs(20), answer).await;
    waited.expect("it is answered")
}

fn links(registry: &Registry, directory: &str) -> PathBuf {
    let repositories = registry
        .directory
        .path()
        .join("volume/docker/registry/v2/repositories");
    repositories.join(directory)
}

/// Whoever reads this hangs, as on a disk that does not answer, until this goes.
struct Stuck(PathBuf);

impl Stuck {
    fn new(digests: &Path, digest: &Digest) -> Self {
        Self::at(digests.join(digest.hex()).join("link"))
    }

    fn at(path: PathBuf) -> Self {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        mkfifoat(CWD, &path, Mode::RWXU).unwrap();
        Self(path)
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        drop(OpenOptions::new().read(true).write(true).open(&self.0));
    }
}

/// P86, P147.
#[test]
fn pulls_and_probes_are_answered_while_many_mounts_search_a_volume_that_is_slow() {
    with_threads(4, async {
        let registry = open().await;
        let held = registry.push_blob("a", b"hello").await;
        let wanted = Digest::of(Algorithm::Sha256, b"nowhere");
        let _stuck = Stuck::new(&links(&registry, "b/_layers/sha256"), &wanted);
        let path = format!("/v2/mine/blobs/uploads/?mount={wanted}");
        let mounts = (0..8).map(|_| registry.asking(Method::POST, &path).send_owned());
        let mut mounts: FuturesUnordered<_> = mounts.collect();
        for _ in 0..6 {
            soon(mounts.next()).await.unwrap().expect(202);
        }
        soon(registry.get(&format!("/v2/a/blobs/{held}")))
            .await
            .expect(200);
        soon(registry.health().get("/readyz")).await.expect(200);
    });
}

#[test]
fn pulls_are_answered_while_many_deletes_read_a_volume_that_is_slow() {
    for kind in ["manifests", "blobs"] {
        with_threads(4, pulls_beside_deletes_of(kind));
    }
}

async fn pulls_beside_deletes_of(kind: &str) {
    let registry = open().await;
    let (mut images, mut paths) = (Vec::new(), Vec::new());
    for number in 0..8 {
        let seed = format!("layer {number}");
        let image = registry.push_image("a", "latest", &seed).await;
        let layer = Digest::of(Algorithm::Sha256, seed.as_bytes());
        let deleted = if kind == "blobs" { &layer } else { &image.digest };
        paths.push(format!("/v2/a/{kind}/{deleted}"));
        images.push(image);
    }
    let first = Digest::from_parts(Algorithm::Sha256, &"0".repeat(64)).unwrap();
    let _stuck = Stuck::new(&links(&registry, "a/_manifests/revisions/sha256"), &first);
    let deletes = paths.iter().map(|path| {
        let asking = registry.asking(Method::DELETE, path);
        tokio::spawn(asking.send_owned())
    });
    let deletes: Vec<_> = deletes.collect();
    for image in images.iter().cycle().take(50) {
        let path = format!("/v2/a/manifests/{}", image.digest);
        soon(registry.get(&path)).await.expect(200);
    }
    for delete in deletes {
        delete.abort();
    }
}

/// P115.
#[test]
fn pulls_are_answered_while_many_lists_of_referrers_are_read_from_a_volume_that_is_slow() {
    with_threads(4, async {
        let registry = open().await;
        let subject = Digest::of(Algorithm::Sha256, b"subject");
        let fallback = format!("_manifests/tags/sha256-{}/current/link", subject.hex());
        let _stuck = Stuck::at(links(&registry, "b").join(fallback));
        pulls_beside_lists_at(&registry, &format!("/v2/b/referrers/{subject}")).await;
    });
}

/// P125.
#[test]
fn pulls_and_known_lists_are_answered_while_many_lists_of_tags_are_read_from_a_volume_that_is_slow() {
    with_threads(4, async {
        let registry = open().await;
        let _stuck = Stuck::at(links(&registry, "b/_manifests/tags"));
        registry.push_image("known", "latest", "layer").await;
        registry.get("/v2/known/tags/list").await.expect(200);
        pulls_beside_lists_at(&registry, "/v2/b/tags/list").await;
        soon(registry.get("/v2/known/tags/list")).await.expect(200);
    });
}

async fn pulls_beside_lists_at(registry: &Registry, path: &str) {
    let image = registry.push_image("a", "latest", "layer").await;
    let lists = (0..8).map(|_| tokio::spawn(registry.asking(Method::GET, path).send_owned()));
    let lists: Vec<_> = lists.collect();
    for _ in 0..50 {
        let pull = format!("/v2/a/manifests/{}", image.digest);
        soon(registry.get(&pull)).await.expect(200);
    }
    for list in lists {
        list.abort();
    }
}

/// P147.
#[test]
fn a_probe_is_answered_while_every_thread_is_taken() {
    with_threads(1, async {
        let registry = open().await;
        let (let_go, taken) = std::sync::mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || taken.recv());
        soon(registry.health().get("/readyz")).await.expect(200);
        drop(let_go);
    });
}

/// P86, P87.
#[tokio::test]
async fn an_anonymous_mount_passes_over_what_is_damaged() {
    let registry = guarded().await;
    let digest = Digest::of(Algorithm::Sha256, b"hello");
    let push = |name: &str| {
        let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
        let asking = registry.asking(Method::POST, &path).basic("root", PASSWORD);
        asking.body("hello").send_owned()
    };
    let mount = || {
        let path = format!("/v2/team/mine/blobs/uploads/?mount={digest}");
        let asking = registry.asking(Method::POST, &path).basic("writer", PASSWORD);
        asking.send_owned()
    };
    for name in ["alone", "team/damaged"] {
        push(name).await.expect(201);
        let layers = links(&registry, name).join("_layers/sha256");
        fs::write(layers.join(digest.hex()).join("link"), "x").unwrap();
        mount().await.expect(202);
    }
    push("team/good").await.expect(201);
    mount().await.expect(201);
}

/// P86.
#[tokio::test]
async fn an_anonymous_mount_gives_up_after_many_names() {
    let registry = open().await;
    let digest = registry.push_blob("z", b"hello").await;
    let mount = |query: &str| {
        let path = format!("/v2/a/blobs/uploads/?mount={digest}{query}");
        registry.asking(Method::POST, &path).send_owned()
    };
    for number in 0..5_000 {
        fs::create_dir(links(&registry, &format!("r{number}"))).unwrap();
    }
    mount("").await.expect(202);
    mount("&from=z").await.expect(201);
    // the one that has it now is among the first
    mount("").await.expect(201);
}
