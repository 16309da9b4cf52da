//! The real program is killed at random moments of concurrent pushes, mounts, tags, deletes and collections; after each
//! cut the volume is checked and everything that was acknowledged is pulled. The same on a volume that is full most of
//! the time.
//!
//! `PORTOLAN_SOAK_CUTS` and `PORTOLAN_SOAK_SECONDS` make it longer, `PORTOLAN_SOAK_SEED` repeats the choices of a run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "kill/actor.rs"]
mod actor;
#[path = "kill/collector.rs"]
mod collector;
#[path = "kill/documents.rs"]
mod documents;
#[path = "kill/ledger.rs"]
mod ledger;
#[path = "api/mounted.rs"]
mod mounted;
#[path = "kill/program.rs"]
mod program;
#[path = "kill/server.rs"]
mod server;
#[path = "kill/upload.rs"]
mod upload;
#[path = "kill/verify.rs"]
mod verify;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portolan_registry::store::fsck::{FsckOptions, check};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::actor::{Actor, Tally};
use crate::collector::Runs;
use crate::mounted::Mounted;
use crate::server::{Server, sent};

const ACTORS: usize = 6;

/// A number that the environment may change.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Where fsync costs little: a kill loses nothing of what the kernel has, so it proves nothing here.
fn volume() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

fn actors(seed: u64) -> Vec<Actor> {
    (0..ACTORS)
        .map(|number| Actor::new(number, StdRng::seed_from_u64(seed ^ (number as u64 + 1))))
        .collect()
}

/// Lets all actors work, and somebody collect garbage, until told to stop or until the server is gone. Tells what the
/// collections that have come to their end have done.
async fn work(
    actors: Vec<Actor>,
    target: SocketAddr,
    socket: PathBuf,
    stop: &CancellationToken,
    so_far: watch::Sender<Runs>,
) -> (Vec<Actor>, Runs) {
    let collecting = collector::collect_again_and_again(socket, stop.clone(), so_far);
    let collector = tokio::spawn(collecting);
    let tasks: Vec<_> = actors
        .into_iter()
        .map(|actor| tokio::spawn(actor.work(target, stop.clone())))
        .collect();
    let mut back = Vec::new();
    for task in tasks {
        back.push(task.await.unwrap());
    }
    (back, collector.await.unwrap())
}

/// Every kind of request has been answered well, and garbage was collected all the time.
fn assert_busy(tally: &Tally, runs: &Runs) {
    let is_busy = tally.pushed > 0 && tally.deleted > 0 && tally.resumed > 0 && tally.verified > 0;
    assert!(is_busy && tally.mounted > 0 && tally.found > 0, "{tally:?}");
    assert!(
        tally.by_sha512 > 0 && tally.verified > tally.by_sha512,
        "{tally:?}"
    );
    assert!(runs.ended > 0 && runs.have_freed_all_kinds(), "{runs:?}");
}

async fn verify(actors: &mut [Actor], target: SocketAddr) {
    futures::future::join_all(actors.iter_mut().map(|actor| actor.verify(target))).await;
}

/// Nothing may be wrong with a volume that nobody uses.
fn assert_whole(volume: &Path, seed: u64, cut: u64) {
    let options = FsckOptions {
        deep: true,
        pause: Duration::ZERO,
    };
    let report = check(volume, options, &|_| {}).unwrap();
    assert!(report.locked);
    assert_eq!(report.findings, [], "seed {seed}, cut {cut}");
    assert_eq!(
        report.leftovers.links_without_content, 0,
        "seed {seed}, cut {cut}: data went before its link"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_program_is_killed() {
    let (cuts, seed) = (number("PORTOLAN_SOAK_CUTS", 50), number("PORTOLAN_SOAK_SEED", 4));
    let volume = volume();
    cut(cuts, seed, volume.path(), || Server::start(volume.path())).await;
}

/// What the actors keep and what collections have not taken yet needs more than that, every now and then.
const SMALL: &str = "mount -t tmpfs -o size=950k,nr_inodes=4000 tmpfs \"$1\"";
/// In the end it is full of uploads that were cut off: they go after days.
const CUTS_OF_A_VOLUME: u64 = 25;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_program_is_killed_on_a_volume_that_fills_up_again_and_again() {
    let (cuts, seed) = (number("PORTOLAN_SOAK_CUTS", 50), number("PORTOLAN_SOAK_SEED", 6));
    for round in 0..(cuts / 2).div_ceil(CUTS_OF_A_VOLUME) {
        let mounted = Mounted::new(SMALL);
        let volume = mounted.seen_from_outside();
        let start = || Server::start_in(&mounted);
        let tally = cut(CUTS_OF_A_VOLUME, seed + round, &volume, start).await;
        let is_full = tally.full > CUTS_OF_A_VOLUME && tally.deleted > CUTS_OF_A_VOLUME;
        assert!(is_full, "{tally:?}");
    }
}

/// Lets actors work, kills the program, looks at the volume, and all that again; in the end everything that was
/// acknowledged is pulled.
#[expect(clippy::print_stdout, reason = "a long run is told apart from a short one")]
async fn cut(cuts: u64, seed: u64, volume: &Path, start: impl Fn() -> Server) -> Tally {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut actors, mut runs, started) = (actors(seed), Runs::default(), Instant::now());
    for cut in 0..cuts {
        let mut server = start();
        verify(&mut actors, server.target).await;
        let stop = CancellationToken::new();
        let more = random.random_range(5..150);
        // A collection gives way to whoever works: beside one alone it comes to its end, and the next one is cut off.
        let is_calm = cut % 2 == 1;
        let resting = actors.split_off(if is_calm { 1 } else { ACTORS });
        let (so_far, mut collected) = watch::channel(Runs::default());
        let working = work(actors, server.target, server.socket.clone(), &stop, so_far);
        let killing = async {
            if is_calm {
                let ended = collected.wait_for(|runs| runs.ended > 0);
                drop(tokio::time::timeout(Duration::from_secs(5), ended).await);
            }
            let requests = sent(server.target) + more;
            let latest = Instant::now() + Duration::from_secs(2);
            while sent(server.target) < requests && Instant::now() < latest {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            server.kill();
        };
        let ((back, of_this_cut), ()) = tokio::join!(working, killing);
        actors = back;
        actors.extend(resting);
        runs += of_this_cut;
        assert_whole(volume, seed, cut);
    }
    let server = start();
    verify(&mut actors, server.target).await;
    let tally = actors
        .iter()
        .fold(Tally::default(), |sum, actor| sum + actor.tally);
    println!(
        "{cuts} cuts with seed {seed} in {:?}: {tally:?}, {runs:?}",
        started.elapsed()
    );
    assert_busy(&tally, &runs);
    assert!(tally.pushed > cuts && tally.verified > cuts, "{tally:?}");
    let have_begun = runs.ended + runs.cut_off > cuts / 2;
    assert!(have_begun && runs.cut_off > 0, "{runs:?}");
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_digest_is_right_under_pushes_pulls_deletes_and_collections() {
    let (seconds, seed) = (
        number("PORTOLAN_SOAK_SECONDS", 5),
        number("PORTOLAN_SOAK_SEED", 5),
    );
    let volume = volume();
    let mut server = Server::start(volume.path());
    let (stop, (so_far, collected)) = (CancellationToken::new(), watch::channel(Runs::default()));
    let stopping = async {
        // Longer where the machine is so busy that little is done.
        let least = Instant::now() + Duration::from_secs(seconds);
        let latest = least + Duration::from_mins(2);
        let is_done = || sent(server.target) >= 1_000 && collected.borrow().have_freed_all_kinds();
        while Instant::now() < least || !is_done() && Instant::now() < latest {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
    };
    let ((mut actors, runs), ()) = tokio::join!(
        work(actors(seed), server.target, server.socket.clone(), &stop, so_far),
        stopping
    );
    verify(&mut actors, server.target).await;
    server.kill();
    assert_whole(volume.path(), seed, 0);
    let tally = actors
        .iter()
        .fold(Tally::default(), |sum, actor| sum + actor.tally);
    println!("{seconds} s with seed {seed}: {tally:?}, {runs:?}");
    assert_busy(&tally, &runs);
    assert_eq!(
        (runs.cut_off, runs.missed),
        (0, 0),
        "somebody has ended the server"
    );
}
