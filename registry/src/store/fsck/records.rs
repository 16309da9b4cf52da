//! The records that garbage collection goes by, as far as they belong to no repository. Files come in, findings go out;
//! blocking IO, reads only.

use std::path::Path;

use serde_json::Value;

use crate::store::links::{exists, read_file};

use super::look::Look;
use super::report::FindingKind;

impl Look<'_> {
    /// Looks whether they can be read.
    pub(super) fn records(&mut self) {
        let (format, in_use) = (self.keys.format(), self.keys.in_use());
        self.record(&format, "FORMAT", "a number \"format\"", |it| {
            it["format"].is_u64()
        });
        self.record(&in_use, "inuse.json", "a list \"digests\"", |it| {
            it["digests"].is_array()
        });
        let trash = self.keys.trash();
        for id in self.names(None, &trash) {
            let path = trash.join(&id).join("record.json");
            if exists(&path).unwrap_or(true) {
                self.record(&path, &id, "\"repository\", \"tag\" and \"digest\"", |it| {
                    ["repository", "tag", "digest"]
                        .iter()
                        .all(|key| it[key].is_string())
                });
            } else {
                self.leftovers.empty_directories += 1;
            }
        }
    }

    fn record(&mut self, path: &Path, what: &str, needs: &str, is_good: impl FnOnce(&Value) -> bool) {
        match read_file(path) {
            Ok(None) => {}
            Ok(Some(bytes)) => {
                let document: Option<Value> = serde_json::from_slice(&bytes).ok();
                if !document.is_some_and(|it| is_good(&it)) {
                    let problem = format!("it is no JSON with {needs}");
                    self.found(FindingKind::RecordDamaged, None, &what, path, problem);
                }
            }
            Err(fault) => self.fault(FindingKind::RecordDamaged, None, &what, path, &fault),
        }
    }
}
