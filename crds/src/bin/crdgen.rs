//! Writes the CRD files that are committed, or with `--check` verifies that they are what the types say. IO: reads and
//! writes files below the given directory, nothing else.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use portolan_crds::yaml::{self, Form, RenderError};

/// Write Portolan's custom resource definitions from the Rust types.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example:\n  cargo run -p portolan-crds --bin crdgen              write the files\n  \
                  cargo run -p portolan-crds --bin crdgen -- --check   exit with 1 when one of them is out of date"
)]
struct Args {
    /// Change nothing: compare the files with what would be written.
    #[arg(long)]
    check: bool,

    /// The root of the repository.
    #[arg(long, value_name = "DIRECTORY", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/.."))]
    root: PathBuf,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{}", .0)]
    Render(#[from] RenderError),
    #[error("cannot read {}: {source}", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}", .path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} is not what the types in crds/src say: run `make crds` and commit the result", .path.display())]
    OutOfDate { path: PathBuf },
}

/// Each committed file and its form.
const FILES: [(&str, Form); 3] = [
    ("crds/yaml/registries.yaml", Form::Plain),
    ("charts/portolan-crds/templates/registries.yaml", Form::CrdChart),
    (
        "charts/portolan/templates/crds/registries.yaml",
        Form::OperatorChart,
    ),
];

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the sentence for the person who ran this")]
fn report(error: &Error) {
    eprintln!("crdgen: {error}");
}

fn run(args: &Args) -> Result<(), Error> {
    let crd = yaml::registry_crd();
    for (file, form) in FILES {
        let path = args.root.join(file);
        let text = yaml::render(&crd, form)?;
        if args.check {
            compare(&path, &text)?;
        } else {
            write(&path, &text)?;
        }
    }
    Ok(())
}

fn compare(path: &Path, wanted: &str) -> Result<(), Error> {
    match fs::read_to_string(path) {
        Ok(found) if found == wanted => Ok(()),
        Ok(_) => Err(Error::OutOfDate { path: path.into() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::OutOfDate { path: path.into() }),
        Err(source) => Err(Error::Read {
            path: path.into(),
            source,
        }),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let to_error = |source| Error::Write {
        path: path.into(),
        source,
    };
    path.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .map_err(to_error)?;
    fs::write(path, text).map_err(to_error)
}
