//! The program itself with hardly any file descriptor left, as many as there are, one more each time.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use portolan_oci::{Algorithm, Digest};

use crate::client::{Answer, Target};
use crate::fixture::{Manifest, eventually};
use crate::program::{Served, plain, program};

const DESCRIPTORS: usize = 64;
/// No request needs more than so many beside its connection.
const ENOUGH: usize = 6;

/// A connection that stays open.
struct Held(SendRequest<Full<Bytes>>);

impl Held {
    async fn open(target: &Target) -> Self {
        let stream = target.connect().await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    async fn ask(&mut self, method: Method, path: &str, media_type: &str, body: impl Into<Bytes>) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("host", "x").header("content-type", media_type);
        let request = request.body(Full::new(body.into())).unwrap();
        self.0.ready().await.unwrap();
        let (head, body) = self.0.send_request(request).await.unwrap().into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.ask(Method::GET, path, "", "").await
    }
}

/// One image over `{}` and a layer, and the requests that push it.
struct Image {
    tag: String,
    layer: String,
    manifest: Manifest,
}

impl Image {
    fn new(tag: &str) -> Self {
        let layer = format!("layer of {tag}");
        let digest = Digest::of(Algorithm::Sha256, layer.as_bytes());
        Self {
            tag: tag.to_owned(),
            manifest: Manifest::image(&digest, layer.len(), None),
            layer,
        }
    }

    fn blobs(&self) -> [(Digest, Bytes); 2] {
        ["{}", &self.layer].map(|text| {
            (
                Digest::of(Algorithm::Sha256, text.as_bytes()),
                Bytes::from(text.to_owned()),
            )
        })
    }

    /// True: it was acknowledged. Else the registry has failed, and says so.
    async fn push(&self, client: &mut Held) -> bool {
        for (digest, bytes) in self.blobs() {
            let path = format!("/v2/a/blobs/uploads/?digest={digest}");
            if !done(&client.ask(Method::POST, &path, "", bytes).await, 201) {
                return false;
            }
        }
        let path = format!("/v2/a/manifests/{}", self.tag);
        let text = self.manifest.text.clone();
        done(
            &client
                .ask(Method::PUT, &path, self.manifest.media_type, text)
                .await,
            201,
        )
    }

    /// True: it was pulled, every byte. Else the registry has failed, and says so.
    async fn pull(&self, client: &mut Held) -> bool {
        let digest = self.manifest.digest.as_str();
        let mut is_whole = true;
        for reference in [&self.tag, digest] {
            let answer = client.get(&format!("/v2/a/manifests/{reference}")).await;
            is_whole &= done(&answer, 200);
            assert!(answer.status != 200 || answer.text() == self.manifest.text);
        }
        for (digest, bytes) in self.blobs() {
            let answer = client.get(&format!("/v2/a/blobs/{digest}")).await;
            is_whole &= done(&answer, 200);
            assert!(answer.status != 200 || answer.body == bytes);
        }
        is_whole
    }
}

/// Whether it was done; if not, because the registry could not.
fn done(answer: &Answer, status: u16) -> bool {
    assert!(
        answer.status.as_u16() == status || answer.status.is_server_error(),
        "{answer:?}"
    );
    answer.status.as_u16() == status
}

fn open_files(served: &Served) -> usize {
    fs::read_dir(format!("/proc/{}/fd", served.id())).unwrap().count()
}

fn limited(volume: &Path) -> Command {
    let mut command = Command::new("sh");
    let serve = plain(volume);
    command.args(["-c", &format!("ulimit -n {DESCRIPTORS}; exec \"$0\" serve")]);
    command.arg(serve.get_program());
    command.envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("REGISTRY_STORAGE_DELETE_ENABLED", "true");
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Collects everything that a collection may take, as far as it comes.
async fn collect(volume: &Path) {
    let socket = volume.join("portolan/v1/admin.sock");
    let mut command = program(&["gc", "--grace", "0s", "--untagged-after", "0s", "--socket"]);
    command.arg(socket);
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
}

async fn assert_lists(client: &mut Held, tags: &[&Image]) {
    let answer = client.get("/v2/a/tags/list").await;
    if done(&answer, 200) {
        for image in tags {
            assert!(answer.text().contains(&format!("{:?}", image.tag)), "{answer:?}");
        }
    }
    let answer = client.get("/v2/_catalog").await;
    assert!(
        !done(&answer, 200) || answer.text().contains("\"a\""),
        "{answer:?}"
    );
    let subject = &tags[0].manifest.digest;
    done(&client.get(&format!("/v2/a/referrers/{subject}")).await, 200);
}

#[tokio::test]
async fn a_registry_that_may_open_no_more_files_says_so_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let volume = directory.path().join("volume");
    fs::create_dir(&volume).unwrap();
    let served = Served::start(&mut limited(&volume));
    let log = served.listen();
    let mut client = Held::open(&served.target).await;
    let kept = Image::new("kept");
    let doomed: Vec<Image> = (0..ENOUGH)
        .map(|free| Image::new(&format!("doomed-{free}")))
        .collect();
    for image in doomed.iter().chain([&kept]) {
        assert!(image.push(&mut client).await);
    }

    let used = open_files(&served);
    let mut held = Vec::new();
    for _ in 0..DESCRIPTORS {
        held.push(Held::open(&served.target).await); // as far as the kernel is concerned
    }
    let mut waits = log.iter().filter(|line| line.contains("cannot accept"));
    waits.next().unwrap();
    let limit = open_files(&served);
    let started = Instant::now();
    assert_eq!(waits.by_ref().take(5).count(), 5);
    assert!(started.elapsed() > Duration::from_millis(400), "it spins");

    let refused = Image::new("refused");
    assert!(!refused.push(&mut client).await && !kept.pull(&mut client).await);
    let blob = &kept.blobs()[1].0;
    let answer = client
        .ask(Method::HEAD, &format!("/v2/a/blobs/{blob}"), "", "")
        .await;
    assert!(answer.status.is_server_error(), "{answer:?}");

    held.truncate(limit - used - 1);
    let mut last = Held::open(&served.target).await; // after all that wait
    last.get("/v2/").await.expect(200);
    let (mut pushed, mut answers, mut deleted) = (vec![&kept], Vec::new(), Vec::new());
    let images: Vec<Image> = (0..ENOUGH).map(|free| Image::new(&format!("v{free}"))).collect();
    for (free, (image, doomed)) in images.iter().zip(&doomed).enumerate() {
        while open_files(&served) + free > limit {
            let before = open_files(&served);
            held.pop();
            eventually("it has closed one", || async { open_files(&served) < before }).await;
        }
        let is_acknowledged = image.push(&mut client).await;
        answers.push((is_acknowledged, kept.pull(&mut client).await));
        if is_acknowledged {
            pushed.push(image);
        }
        let path = format!("/v2/a/manifests/{}", doomed.manifest.digest);
        deleted.push(done(&client.ask(Method::DELETE, &path, "", "").await, 202));
        if free > 1 {
            collect(&volume).await; // with one it is not heard, and waits
        }
        assert_lists(&mut client, &pushed).await;
    }
    let is_expected = answers[0] == (false, false) && answers[ENOUGH - 1] == (true, true);
    assert!(is_expected, "{answers:?}");

    drop(held);
    let mut client = Held::open(&served.target).await;
    assert!(refused.push(&mut client).await);
    pushed.push(&refused);
    for image in &pushed {
        assert!(image.pull(&mut client).await);
    }
    assert_lists(&mut client, &pushed).await;
    for (image, is_deleted) in doomed.iter().zip(deleted) {
        let path = format!("/v2/a/manifests/{}", image.tag);
        let status = client.get(&path).await.status.as_u16();
        assert_eq!(status, if is_deleted { 404 } else { 200 }, "{}", image.tag);
        assert!(is_deleted || image.pull(&mut client).await);
    }
    drop(served);
    let mut check = program(&["fsck", "--deep", "--directory"]);
    let checked = check.arg(&volume).output().unwrap();
    let text = String::from_utf8(checked.stdout).unwrap();
    assert!(text.ends_with("Nothing is wrong.\n"), "{text}");
}

/// P84.
#[tokio::test]
async fn sessions_that_nobody_continues_leave_files_for_everything_else() {
    let directory = tempfile::tempdir().unwrap();
    let volume = directory.path().join("volume");
    fs::create_dir(&volume).unwrap();
    let served = Served::start(&mut limited(&volume));
    let _log = served.listen();
    let mut client = Held::open(&served.target).await;
    let mut sessions = Vec::new();
    for _ in 0..2 * DESCRIPTORS {
        let begun = client.ask(Method::POST, "/v2/a/blobs/uploads/", "", "").await;
        let session = begun.expect(202).header("location").to_owned();
        client.ask(Method::PATCH, &session, "", "one ").await.expect(202);
        sessions.push(session);
    }
    let image = Image::new("v1");
    assert!(image.push(&mut client).await && image.pull(&mut client).await);
    client.get("/v2/_catalog").await.expect(200);
    let digest = Digest::of(Algorithm::Sha256, b"one two");
    for session in [&sessions[0], &sessions[2 * DESCRIPTORS - 1]] {
        let last = format!("{session}?digest={digest}");
        client.ask(Method::PUT, &last, "", "two").await.expect(201);
    }
}
