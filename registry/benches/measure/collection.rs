//! Garbage collection, half of everything being garbage, while somebody pulls: a volume is made, a table printed. IO.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::images::{Deleted, HalfGarbage, check, half_garbage, remove};
use super::load::{Load, Pulls};
use super::process::{self, PROGRAM};
use super::progress::phase;
use super::quantiles::Quantiles;
use super::repeats::Repeats;
use super::scratch::Scratch;
use super::server::{Server, Whose, theirs};
use super::table::{Figure, Table, count, per, ratio};

const CPU_TARGET: Duration = Duration::from_micros(100);
const WALL_TARGET: Duration = Duration::from_millis(1);
/// On a volume of so many blobs. On a smaller one no share of the target is told: what is added is not in proportion.
const MEMORY_TARGET: f64 = 50e6;
const BLOBS_OF_MEMORY_TARGET: usize = 500_000;

struct Ours {
    cpu: Duration,
    wall: Duration,
    quiet: Quantiles,
    during: Quantiles,
    memory_before: u64,
    memory_added: u64,
}

struct Theirs {
    cpu: Duration,
    wall: Duration,
}

pub(crate) fn measure(
    scratch: &Scratch,
    blobs: usize,
    deleted: Deleted,
    repeats: Repeats,
    peer: Option<&Path>,
) -> anyhow::Result<Table> {
    let made = half_garbage(scratch, "g1", blobs, deleted)?;
    let ours = collect(&made, repeats.quiet)?;
    check(&made.volume, false)?;
    remove(&made.volume)?;
    let theirs = match peer {
        Some(program) => {
            let made = half_garbage(scratch, "g2", blobs, deleted)?;
            let theirs = collect_with_theirs(program, &made)?;
            remove(&made.volume)?;
            Some(theirs)
        }
        None => None,
    };
    Ok(table(&made, &ours, theirs.as_ref()))
}

fn table(made: &HalfGarbage, ours: &Ours, theirs: Option<&Theirs>) -> Table {
    let untagged = match made.untagged {
        0 => String::new(),
        number => format!(", with {} untagged manifests,", count(number as u64)),
    };
    let title = format!(
        "Garbage collection of {} blobs, {} of them garbage{untagged} while manifests are pulled",
        count(made.blobs as u64),
        count(made.garbage as u64)
    );
    let mut table = Table::new(title);
    let of_each = |cpu| Figure::Microseconds(per(cpu, made.blobs));
    table.goal(
        "CPU for each blob examined",
        of_each(ours.cpu),
        theirs.map(|it| of_each(it.cpu)),
        "100 µs",
        ratio(per(ours.cpu, made.blobs), CPU_TARGET),
    );
    let of_deleted = |wall| Figure::Milliseconds(per(wall, made.garbage));
    table.goal(
        "time for each blob deleted",
        of_deleted(ours.wall),
        theirs.map(|it| of_deleted(it.wall)),
        "1 ms",
        ratio(per(ours.wall, made.garbage), WALL_TARGET),
    );
    table.row(
        "time of the whole run",
        Figure::Seconds(ours.wall),
        theirs.map(|it| Figure::Seconds(it.wall)),
    );
    let offline = theirs.map(|_| Figure::None("offline"));
    for (what, took) in [
        ("manifest GET without, median", ours.quiet.median()),
        ("manifest GET during, median", ours.during.median()),
        ("manifest GET without, p99", ours.quiet.p99()),
    ] {
        table.row(what, Figure::Milliseconds(took), offline);
    }
    table.goal(
        "manifest GET during, p99",
        Figure::Milliseconds(ours.during.p99()),
        offline,
        "2 × without",
        ratio(ours.during.p99(), ours.quiet.p99() * 2),
    );
    table.row("memory before", Figure::Bytes(ours.memory_before), None);
    let share = share_of_memory(ours.memory_added, made.blobs);
    table.goal(
        "memory added at the peak",
        Figure::Bytes(ours.memory_added),
        None,
        "50 MB at 500,000",
        share,
    );
    if share.is_none() {
        table.note("The target for the memory is for 500,000 blobs; fewer do not add in proportion.");
    }
    table
}

/// What is used of the target for the memory, on a volume that has at least as many blobs as that is for.
pub(crate) fn share_of_memory(added: u64, blobs: usize) -> Option<f64> {
    (blobs >= BLOBS_OF_MEMORY_TARGET).then(|| added as f64 / MEMORY_TARGET)
}

fn collect(made: &HalfGarbage, quiet: Duration) -> anyhow::Result<Ours> {
    let server = Server::start(Whose::Ours, &made.volume)?;
    let sleep = |time| {
        move || {
            thread::sleep(time);
            anyhow::Ok(())
        }
    };
    // Pulls come into the caches first, and the memory that they need is not the collection's.
    let first = pulled(&server, made, 0, sleep(quiet / 5))?;
    let behind = first.pulls.answered;
    let alone = pulled(&server, made, behind, sleep(quiet))?;
    process::forget_peak(server.pid())?;
    let (memory_before, _) = process::memory(server.pid())?;
    let behind = behind + alone.pulls.answered;
    let beside = pulled(&server, made, behind, || run_gc(made))?;
    let (_, peak) = process::memory(server.pid())?;
    server.stop()?;
    let report = &beside.outcome;
    let (examined, freed) = (&report["examined"]["blobs"], &report["freed"]["blobs"]);
    let untagged = &report["freed"]["manifests"];
    ensure!(
        examined == made.blobs && freed == made.garbage && untagged == made.untagged,
        "the collection examined {examined} of {} blobs, and freed {freed} of {} and {untagged} of {} manifests: {report}",
        made.blobs,
        made.garbage,
        made.untagged
    );
    Ok(Ours {
        cpu: beside.spent().without_pulls(alone.spent()),
        wall: beside.wall,
        quiet: alone.pulls.waits,
        during: beside.pulls.waits,
        memory_before,
        memory_added: peak.saturating_sub(memory_before),
    })
}

/// Something that was done while manifests were pulled.
struct Pulled<T> {
    outcome: T,
    wall: Duration,
    /// Of the server.
    cpu: Duration,
    pulls: Pulls,
}

impl<T> Pulled<T> {
    fn spent(&self) -> Spent {
        Spent {
            cpu: self.cpu,
            pulls: self.pulls.answered,
        }
    }
}

fn pulled<T>(
    server: &Server,
    made: &HalfGarbage,
    behind: usize,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<Pulled<T>> {
    let load = Load::start(server.address, &made.paths, behind);
    let (cpu, began) = (process::cpu(server.pid())?, Instant::now());
    let outcome = work()?;
    let wall = began.elapsed();
    let cpu = process::cpu(server.pid())?.saturating_sub(cpu);
    Ok(Pulled {
        outcome,
        wall,
        cpu,
        pulls: load.end()?,
    })
}

/// What a process used while it answered so many pulls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) cpu: Duration,
    pub(crate) pulls: usize,
}

impl Spent {
    /// What all else cost, if a pull cost as much as at the time when there was nothing else.
    pub(crate) fn without_pulls(self, alone: Self) -> Duration {
        let of_pulls = alone.cpu.mul_f64(self.pulls as f64 / alone.pulls.max(1) as f64);
        self.cpu.saturating_sub(of_pulls)
    }
}

fn run_gc(made: &HalfGarbage) -> anyhow::Result<Value> {
    let mut command = Command::new(PROGRAM);
    command.args(["gc", "--grace", "0s", "--output", "json", "--socket"]);
    command.arg(made.volume.join("portolan/v1/admin.sock"));
    if made.untagged > 0 {
        command.args(["--untagged-after", "0s"]);
    }
    let output = phase("Collecting", || command.output()).context("cannot run gc")?;
    if !output.status.success() {
        bail!("gc says: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn collect_with_theirs(program: &Path, made: &HalfGarbage) -> anyhow::Result<Theirs> {
    let config = made.volume.with_extension("yaml");
    std::fs::write(&config, theirs(&made.volume, ([127, 0, 0, 1], 0).into()))?;
    let mut command = Command::new(program);
    command.env_clear().arg("garbage-collect").arg(&config);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let (cpu, began) = (process::cpu_of_children()?, Instant::now());
    let status = phase("Collecting with registry:2", || command.status());
    let status = status.context("cannot run registry:2")?;
    ensure!(
        status.success(),
        "garbage-collect of registry:2 ended with {status}"
    );
    Ok(Theirs {
        cpu: process::cpu_of_children()?.saturating_sub(cpu),
        wall: began.elapsed(),
    })
}
