//! One small push at a time against nothing but the system calls that make the same files durable, in turn on one disk, so
//! that both have the same disk. IO.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, StatusCode};
use portolan_oci::{Algorithm, Digest};
use serde_json::json;

use super::client::Client;
use super::images::manifest;
use super::progress::Progress;
use super::quantiles::Quantiles;
use super::repeats::Repeats;
use super::scratch::Scratch;
use super::server::{Server, Whose};
use super::table::{Figure, Table, ratio};

const SIZE: usize = 300;
const MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// data and layer link; data, revision link and the tag's link.
const FILES_OF_BLOB: usize = 2;
const FILES_OF_MANIFEST: usize = 3;

struct Pushes {
    bare_blob: Quantiles,
    blob: Quantiles,
    bare_manifest: Quantiles,
    manifest: Quantiles,
}

type Part = fn(&Pushes) -> &Quantiles;
type Rank = fn(&Quantiles) -> Duration;

pub(crate) fn measure(scratch: &Scratch, repeats: Repeats, peer: Option<&Path>) -> anyhow::Result<Table> {
    let ours = pushes(scratch, repeats, Whose::Ours, "b1")?;
    let theirs = match peer {
        Some(program) => Some(pushes(scratch, repeats, Whose::Theirs(program), "b2")?),
        None => None,
    };
    let mut table = Table::new(format!(
        "One push of {SIZE} bytes at a time, {} times",
        repeats.pushes
    ));
    let rows: [(&str, Part, Part); 2] = [
        ("blob", |it| &it.bare_blob, |it| &it.blob),
        ("manifest with tag", |it| &it.bare_manifest, |it| &it.manifest),
    ];
    let quantiles: [(&str, Rank); 2] = [("median", Quantiles::median), ("p99", Quantiles::p99)];
    for (what, bare, push) in rows {
        for (name, quantile) in quantiles {
            let value = |pushes: &Pushes, of: Part| quantile(of(pushes));
            let text = |of: Part| {
                let theirs = theirs.as_ref().map(|it| Figure::Milliseconds(value(it, of)));
                (Figure::Milliseconds(value(&ours, of)), theirs)
            };
            let (alone, alone_of_theirs) = text(bare);
            table.row(
                &format!("system calls of a {what}, {name}"),
                alone,
                alone_of_theirs,
            );
            let (pushed, pushed_of_theirs) = text(push);
            let times = ratio(value(&ours, push), value(&ours, bare));
            table.goal(
                &format!("{what}, {name}"),
                pushed,
                pushed_of_theirs,
                "1.5 × these",
                times / 1.5,
            );
        }
    }
    Ok(table)
}

fn pushes(scratch: &Scratch, repeats: Repeats, whose: Whose<'_>, name: &str) -> anyhow::Result<Pushes> {
    let number = repeats.first_pushes + repeats.pushes;
    let volume = scratch.volume(name, number * 30)?;
    let server = Server::start(whose, &volume)?;
    let mut client = Client::connect(server.address)?;
    let beside = volume.with_extension("bare");
    let bare = Bare::new(&beside)?;
    let mut durations: [Vec<Duration>; 4] = Default::default();
    let mut progress = Progress::new("Rounds of pushes", number);
    for number in 0..number {
        progress.at(number);
        let blob = Bytes::from(format!("{number:0SIZE$}"));
        let digest = Digest::of(Algorithm::Sha256, &blob);
        let descriptor =
            json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": SIZE});
        let document = Bytes::from(manifest(&descriptor, &[]).to_string());
        let took = [
            bare.write(2 * number, FILES_OF_BLOB, &blob)?,
            push_blob(&mut client, blob, &digest)?,
            bare.write(2 * number + 1, FILES_OF_MANIFEST, &document)?,
            push_manifest(&mut client, document, number)?,
        ];
        if number >= repeats.first_pushes {
            for (durations, took) in durations.iter_mut().zip(took) {
                durations.push(took);
            }
        }
    }
    progress.end();
    server.stop()?;
    fs::remove_dir_all(&volume)?;
    fs::remove_dir_all(&beside)?;
    let [bare_blob, blob, bare_manifest, manifest] = durations.map(Quantiles::of);
    Ok(Pushes {
        bare_blob,
        blob,
        bare_manifest,
        manifest,
    })
}

/// A session and its bytes at once, as clients do.
fn push_blob(client: &mut Client, blob: Bytes, digest: &Digest) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let path = "/v2/bench/push/blobs/uploads/";
    let answer = client.send(
        Method::POST,
        path,
        "text/plain",
        Bytes::new(),
        StatusCode::ACCEPTED,
    )?;
    let location = answer
        .headers
        .get("location")
        .context("an upload has no place")?
        .to_str()?;
    let location = location.parse::<http::Uri>()?;
    let location = location
        .path_and_query()
        .context("an upload has no place")?
        .as_str();
    let mark = if location.contains('?') { '&' } else { '?' };
    let target = format!("{location}{mark}digest={digest}");
    client.send(
        Method::PUT,
        &target,
        "application/octet-stream",
        blob,
        StatusCode::CREATED,
    )?;
    Ok(began.elapsed())
}

fn push_manifest(client: &mut Client, document: Bytes, number: usize) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let path = format!("/v2/bench/push/manifests/v{number}");
    client.send(Method::PUT, &path, MEDIA_TYPE, document, StatusCode::CREATED)?;
    Ok(began.elapsed())
}

/// Where files are made durable by nothing but system calls.
struct Bare<'a> {
    root: &'a Path,
}

impl<'a> Bare<'a> {
    fn new(root: &'a Path) -> anyhow::Result<Self> {
        fs::create_dir_all(root.join("tmp"))?;
        Ok(Self { root })
    }

    /// For each file: a new directory, fsynced into its parent; the file written and fsynced, renamed into it, and the
    /// directory fsynced.
    fn write(&self, number: usize, files: usize, bytes: &[u8]) -> anyhow::Result<Duration> {
        let began = Instant::now();
        for file in 0..files {
            let directory = self.root.join(format!("{number}-{file}"));
            let temporary = self.root.join("tmp/file");
            fs::create_dir(&directory)?;
            File::open(self.root)?.sync_all()?;
            let mut written = File::create(&temporary)?;
            written.write_all(bytes)?;
            written.sync_data()?;
            fs::rename(&temporary, directory.join("data"))?;
            File::open(&directory)?.sync_all()?;
        }
        Ok(began.elapsed())
    }
}
