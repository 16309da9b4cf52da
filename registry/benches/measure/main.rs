//! How fast the registry is: starts the real program over volumes that it makes, beside `registry:2` if that is there, and
//! prints tables. Figures are shown, not judged: it only fails when something does not work. IO.

#![expect(clippy::print_stdout, reason = "tables are what it is for")]
#![expect(
    clippy::cast_precision_loss,
    reason = "nobody reads the sixteenth digit of a ratio"
)]

mod client;
pub(crate) mod collection;
mod images;
mod interruption;
mod layout;
pub(crate) mod load;
mod pages;
mod process;
mod progress;
mod pushes;
pub(crate) mod quantiles;
mod repeats;
pub(crate) mod scratch;
mod server;
mod starts;
pub(crate) mod table;

use std::path::PathBuf;

use clap::Parser;

use self::images::Deleted;
use self::interruption::Interruption;
use self::repeats::Repeats;
use self::scratch::Scratch;
use self::table::Table;

/// Measures the registry on this machine's disk and prints tables.
#[derive(Debug, Parser)]
#[command(name = "make bench", after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to measure.
    #[arg(
        value_name = "PART",
        value_enum,
        env = "PORTOLAN_BENCH_PARTS",
        value_delimiter = ' '
    )]
    pub(crate) parts: Vec<Part>,
    /// How many blobs are on the volume that is collected.
    #[arg(
        long,
        value_name = "NUMBER",
        env = "PORTOLAN_BENCH_BLOBS",
        default_value_t = 500_000
    )]
    pub(crate) blobs: usize,
    /// How many images are on the volume on which the registry starts, and how many tags in its largest repository.
    #[arg(
        long,
        value_name = "NUMBER",
        env = "PORTOLAN_BENCH_IMAGES",
        default_value_t = 100_000
    )]
    pub(crate) images: usize,
    /// Where the volumes are made, on the disk that is to be measured.
    #[arg(long, value_name = "DIRECTORY", env = "PORTOLAN_BENCH_DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// The program of registry:2; without it, its column stays empty.
    #[arg(long, value_name = "FILE", env = "PORTOLAN_BENCH_PEER")]
    pub(crate) peer: Option<PathBuf>,
    /// Do each thing a few times only: that shows that the benchmark works, not how fast anything is.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Cargo says so to every benchmark.
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Garbage collection beside pulls.
    Gc,
    /// The same of manifests that have lost their tags, with a fifth of the blobs and without registry:2.
    Untagged,
    /// From nothing to the first answer.
    Start,
    /// Lists of tags.
    Tags,
    /// Small pushes.
    Push,
}

const EXAMPLES: &str = "\
Examples:
  make bench
  PORTOLAN_BENCH_PARTS=\"gc push\" PORTOLAN_BENCH_BLOBS=100000 PORTOLAN_BENCH_DIR=/srv/scratch make bench";

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let scratch = Scratch::new(args.directory.as_deref())?;
    let interruption = Interruption::expect(scratch.path())?;
    let measured = measure(&args, &scratch);
    interruption.pass();
    measured.map(drop)
}

/// Prints a table for each part, and returns all of them.
pub(crate) fn measure(args: &Args, scratch: &Scratch) -> anyhow::Result<Vec<Table>> {
    let mut tables = Vec::new();
    let mut show = |table: Table| {
        table.print();
        tables.push(table);
    };
    let repeats = if args.quick { Repeats::FEW } else { Repeats::MANY };
    let measures = |part| args.parts.is_empty() || args.parts.contains(&part);
    println!("{}", process::machine(scratch.path()));
    let peer = args.peer.as_deref();
    if peer.is_none() {
        println!("registry:2 is not measured: PORTOLAN_BENCH_PEER does not say where its program is.");
    }
    let collections = [
        (Part::Gc, Deleted::Manifests, args.blobs, peer),
        (Part::Untagged, Deleted::Tags, args.blobs / 5, None),
    ];
    // Said now, and not when the rest has been measured.
    for (part, _, blobs, _) in collections {
        if measures(part) {
            scratch.expect_room(images::inodes_of_half_garbage(blobs))?;
        }
    }
    if measures(Part::Start) || measures(Part::Tags) {
        scratch.expect_room(images::inodes_of_many_images(args.images, repeats.few_tags))?;
    }
    images::prove_layout(scratch)?;
    if measures(Part::Push) {
        show(pushes::measure(scratch, repeats, peer)?);
    }
    if measures(Part::Start) || measures(Part::Tags) {
        let volumes = starts::Volumes::write(scratch, args.images, repeats.few_tags)?;
        if measures(Part::Start) {
            show(starts::measure(&volumes, repeats, peer)?);
        }
        if measures(Part::Tags) {
            show(pages::measure(&volumes, repeats, peer)?);
        }
        volumes.remove()?;
    }
    for (part, deleted, blobs, peer) in collections {
        if measures(part) {
            show(collection::measure(scratch, blobs, deleted, repeats, peer)?);
        }
    }
    Ok(tables)
}
