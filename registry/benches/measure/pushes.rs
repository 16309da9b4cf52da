//! One small push at a time against nothing but the system calls that make its files durable, and those that make one file
//! durable, in turn, so that all have the same disk. IO.
//!
//! First all pushes of ours, which remove nothing: where an ext4 has no journal, new files are slow to make for a minute
//! after others were removed, and each push to registry:2 removes some.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
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

/// How long it took each time.
struct Pushes {
    one_file: Quantiles,
    files_of_blob: Quantiles,
    blob: Quantiles,
    files_of_manifest: Quantiles,
    manifest: Quantiles,
}

type Part = fn(&Pushes) -> &Quantiles;
type Rank = fn(&Quantiles) -> Duration;

pub(crate) fn measure(scratch: &Scratch, repeats: Repeats, peer: Option<&Path>) -> anyhow::Result<Table> {
    let ours = pushed(scratch, repeats, Whose::Ours)?;
    let theirs = peer.map(|program| pushed(scratch, repeats, Whose::Theirs(program)));
    let (ours, theirs) = (ours.end()?, theirs.transpose()?.map(Pusher::end).transpose()?);
    Ok(table(repeats, &ours, theirs.as_ref()))
}

fn pushed(scratch: &Scratch, repeats: Repeats, whose: Whose<'_>) -> anyhow::Result<Pusher> {
    let rounds = repeats.first_pushes + repeats.pushes;
    let (name, what) = match whose {
        Whose::Ours => ("b1", "Rounds of pushes"),
        Whose::Theirs(_) => ("b2", "Rounds of pushes to registry:2"),
    };
    let mut pusher = Pusher::start(scratch, whose, name, rounds)?;
    let mut progress = Progress::new(what, rounds);
    for round in 0..rounds {
        progress.at(round);
        pusher.round(round, round >= repeats.first_pushes)?;
    }
    progress.end();
    Ok(pusher)
}

fn table(repeats: Repeats, ours: &Pushes, theirs: Option<&Pushes>) -> Table {
    let mut table = Table::new(format!(
        "One push of {SIZE} bytes at a time, {} times",
        repeats.pushes
    ));
    let one: Part = |it| &it.one_file;
    let rows: [(&str, usize, Part, Part); 2] = [
        ("blob", FILES_OF_BLOB, |it| &it.files_of_blob, |it| &it.blob),
        (
            "manifest with tag",
            FILES_OF_MANIFEST,
            |it| &it.files_of_manifest,
            |it| &it.manifest,
        ),
    ];
    let quantiles: [(&str, Rank); 2] = [("median", Quantiles::median), ("p99", Quantiles::p99)];
    for (name, rank) in quantiles {
        let took = |of: Part| {
            let of_theirs = theirs.map(|it| Figure::Milliseconds(rank(of(it))));
            (Figure::Milliseconds(rank(of(ours))), of_theirs)
        };
        let (of_ours, of_theirs) = took(one);
        table.disk(&format!("one file, {name}"), of_ours, of_theirs);
        for (what, number, files, push) in rows {
            let (of_ours, of_theirs) = took(files);
            table.disk(&format!("{number} files of a {what}, {name}"), of_ours, of_theirs);
            let (of_ours, of_theirs) = took(push);
            table.row(&format!("{what}, {name}"), of_ours, of_theirs);
            let against = |pushes: &Pushes, bare: Part| ratio(rank(push(pushes)), rank(bare(pushes)));
            let times = |bare: Part| {
                let of_theirs = theirs.map(|it| Figure::Times(against(it, bare)));
                (Figure::Times(against(ours, bare)), of_theirs)
            };
            let (of_ours, of_theirs) = times(files);
            table.goal(
                &format!("{what} against its {number} files, {name}"),
                of_ours,
                of_theirs,
                "1.5 ×",
                against(ours, files) / 1.5,
            );
            let (of_ours, of_theirs) = times(one);
            table.row(&format!("{what} against one file, {name}"), of_ours, of_theirs);
        }
    }
    table.note("One file: write, fdatasync, rename, fsync of the directory. Files of a push: that for each, and before it a new");
    table.note("directory, fsynced into its parent. The target is for all files of a push: without one of them it could be lost.");
    table
}

/// Who pushes to one registry, and writes files beside it.
struct Pusher {
    server: Server,
    client: Client,
    volume: PathBuf,
    bare: Bare,
    durations: [Vec<Duration>; 5],
}

impl Pusher {
    fn start(scratch: &Scratch, whose: Whose<'_>, name: &str, rounds: usize) -> anyhow::Result<Self> {
        let volume = scratch.volume(name, rounds * 30)?;
        let server = Server::start(whose, &volume)?;
        Ok(Self {
            client: Client::connect(server.address)?,
            server,
            bare: Bare::new(volume.with_extension("bare"))?,
            volume,
            durations: Default::default(),
        })
    }

    fn round(&mut self, round: usize, counts: bool) -> anyhow::Result<()> {
        // What others have left unwritten is not for the first fsync of these.
        rustix::fs::syncfs(File::open(&self.volume)?)?;
        let blob = Bytes::from(format!("{round:0SIZE$}"));
        let digest = Digest::of(Algorithm::Sha256, &blob);
        let descriptor =
            json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": SIZE});
        let document = Bytes::from(manifest(&descriptor, &[]).to_string());
        let took = [
            self.bare.one_file(round, &blob)?,
            self.bare.files(2 * round, FILES_OF_BLOB, &blob)?,
            push_blob(&mut self.client, blob, &digest)?,
            self.bare.files(2 * round + 1, FILES_OF_MANIFEST, &document)?,
            push_manifest(&mut self.client, document, round)?,
        ];
        if counts {
            for (durations, took) in self.durations.iter_mut().zip(took) {
                durations.push(took);
            }
        }
        Ok(())
    }

    fn end(self) -> anyhow::Result<Pushes> {
        self.server.stop()?;
        fs::remove_dir_all(&self.volume)?;
        fs::remove_dir_all(&self.bare.root)?;
        let [one_file, files_of_blob, blob, files_of_manifest, manifest] = self.durations.map(Quantiles::of);
        Ok(Pushes {
            one_file,
            files_of_blob,
            blob,
            files_of_manifest,
            manifest,
        })
    }
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
struct Bare {
    root: PathBuf,
}

impl Bare {
    fn new(root: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(root.join("tmp"))?;
        fs::create_dir_all(root.join("one"))?;
        Ok(Self { root })
    }

    /// Into a directory that is there.
    fn one_file(&self, number: usize, bytes: &[u8]) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.write(&self.root.join("one"), &number.to_string(), bytes)?;
        Ok(began.elapsed())
    }

    /// Each into a new directory, which is fsynced into its parent.
    fn files(&self, number: usize, files: usize, bytes: &[u8]) -> anyhow::Result<Duration> {
        let began = Instant::now();
        for file in 0..files {
            let directory = self.root.join(format!("{number}-{file}"));
            fs::create_dir(&directory)?;
            File::open(&self.root)?.sync_all()?;
            self.write(&directory, "data", bytes)?;
        }
        Ok(began.elapsed())
    }

    fn write(&self, directory: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let temporary = self.root.join("tmp/file");
        let mut written = File::create(&temporary)?;
        written.write_all(bytes)?;
        written.sync_data()?;
        fs::rename(&temporary, directory.join(name))?;
        File::open(directory)?.sync_all()?;
        Ok(())
    }
}
