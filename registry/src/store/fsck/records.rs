//! What garbage collection goes by, as far as it belongs to no repository, and names that keep it from a volume. Files come
//! in, findings go out; blocking IO, reads only.

use std::path::Path;

use serde_json::Value;

use crate::store::links::{exists, read_file};
use crate::store::not_understood::visit_not_understood;
use crate::store::open::FORMAT;

use super::look::Look;
use super::report::FindingKind;

impl Look<'_> {
    /// Looks whether they can be read.
    pub(super) fn records(&mut self) {
        let (format, in_use) = (self.keys.format(), self.keys.in_use());
        self.record(&format, "FORMAT", "a number \"format\"", |it| {
            it["format"].is_u64()
        });
        self.format(&format);
        self.strange_names();
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
                let problem = "it is missing: restore it, or remove its directory to give the tag up";
                self.found(FindingKind::RecordDamaged, None, &id, &path, problem);
            }
        }
    }

    /// What this version does not know may keep something.
    fn format(&mut self, path: &Path) {
        let bytes = read_file(path).ok().flatten();
        let document: Option<Value> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let document = document.unwrap_or_default();
        let mut unknown = Vec::new();
        if let Some(format) = document["format"].as_u64().filter(|it| *it != FORMAT) {
            unknown.push(format!("it says format {format}"));
        }
        let features = document["features"].as_array().into_iter().flatten();
        unknown.extend(features.map(|feature| format!("it lists feature {feature}")));
        for what in unknown {
            let problem = format!("{what}, which this version does not know: run the version that wrote it");
            self.found(FindingKind::NotUnderstood, None, &"FORMAT", path, problem);
        }
    }

    fn strange_names(&mut self) {
        let keys = self.keys;
        let visited = visit_not_understood(keys, &mut |path, problem| {
            let what = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            self.found(FindingKind::NotUnderstood, None, &what, &path, problem);
            Ok(())
        });
        if let Err(fault) = visited {
            let path = keys.repositories();
            self.fault(FindingKind::Unreadable, None, &"repositories", &path, &fault);
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
