//! Somebody who collects garbage, one run after the other. The socket of the administration comes in, what the runs have
//! come to goes out; IO.

use std::ops::AddAssign;
use std::path::PathBuf;
use std::time::Duration;

use portolan_registry::admin::Line;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::server::{Answer, Stopped, administer};

/// How often garbage was collected, and how much.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Runs {
    pub(crate) ended: u64,
    /// The server was killed while they went on.
    pub(crate) cut_off: u64,
    /// The server was gone before it had answered.
    pub(crate) missed: u64,
    pub(crate) manifests: u64,
    pub(crate) links: u64,
    pub(crate) blobs: u64,
}

impl AddAssign for Runs {
    fn add_assign(&mut self, other: Self) {
        self.ended += other.ended;
        self.cut_off += other.cut_off;
        self.missed += other.missed;
        self.manifests += other.manifests;
        self.links += other.links;
        self.blobs += other.blobs;
    }
}

impl Runs {
    pub(crate) fn have_freed_all_kinds(&self) -> bool {
        self.manifests > 0 && self.links > 0 && self.blobs > 0
    }

    /// Only a run that came to its end has a report as its last line.
    fn count(&mut self, answer: &Answer) {
        assert_eq!(answer.status, 200, "{answer:?}");
        let text = String::from_utf8_lossy(&answer.body);
        let last = text.lines().last().map(serde_json::from_str);
        let Some(Ok(Line::Report(report))) = last else {
            panic!("the run ends without a report: {text}")
        };
        *self += Self {
            ended: 1,
            manifests: report.freed.manifests,
            links: report.freed.links,
            blobs: report.freed.blobs,
            ..Self::default()
        };
    }
}

/// Asks for one collection after the other, also of untagged manifests, until told to stop or until the server is gone.
/// At the end of each `so_far` is told what all have come to.
pub(crate) async fn collect_again_and_again(
    socket: PathBuf,
    stop: CancellationToken,
    so_far: watch::Sender<Runs>,
) -> Runs {
    let options = r#"{"grace": "0s", "untaggedAfter": "0s"}"#;
    let mut runs = Runs::default();
    while !stop.is_cancelled() {
        match administer(&socket, "/v1/gc", options.to_owned()).await {
            Ok(answer) => {
                runs.count(&answer);
                so_far.send_replace(runs);
            }
            Err(Stopped::CutOff) => {
                runs.cut_off += 1;
                break;
            }
            Err(_) => {
                runs.missed += 1;
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    runs
}
