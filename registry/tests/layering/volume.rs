//! What changes a volume goes through `Disk`: the tests that cut the power know of nothing else. A source comes in, calls
//! beside it go out as sentences.

use super::{STORAGE, Source};

const MARKS_OF_CHANGES: [&str; 23] = [
    "sync_all(",
    "sync_data(",
    "fsync(",
    "fdatasync(",
    "syncfs(",
    "sync_file_range(",
    "fallocate(",
    "ftruncate(",
    "File::create",
    "File::options",
    "OpenOptions",
    "fs::write(",
    "fs::rename(",
    "fs::copy(",
    "fs::hard_link(",
    "fs::symlink(",
    "fs::remove_",
    "fs::create_dir",
    "write_all",
    "set_len(",
    "set_modified(",
    "set_times(",
    "set_permissions(",
];

/// Where something may be made or lost at any time, and why, with what does it.
const BESIDE_THE_DISK: [(&str, &str, &[&str]); 5] = [
    (
        "src/store/open.rs",
        "the root, before anything is on it",
        &["fs::create_dir"],
    ),
    (
        "src/store/open/lock.rs",
        "the lock of a process, which ends with it",
        &["fs::create_dir", "File::options", "set_len("],
    ),
    (
        "src/store/reserve.rs",
        "bytes that say nothing, and are made again",
        &[
            "sync_all(",
            "fallocate(",
            "File::options",
            "fs::remove_",
            "fs::create_dir",
            "set_len(",
        ],
    ),
    (
        "src/store/upload_file.rs",
        "options with which `Disk` opens a file",
        &["OpenOptions"],
    ),
    (
        "src/store/renewal.rs",
        "when somebody has asked: without it something is pushed again",
        &["set_modified("],
    ),
];

pub(super) fn rule(source: &Source<'_>) -> Vec<String> {
    let is_the_disk = source.is_below(&["src/store/disk.rs", "src/store/disk/"]);
    if is_the_disk || !source.is_below(&STORAGE) {
        return Vec::new();
    }
    let found = source.found(&MARKS_OF_CHANGES);
    let excepted = |mark: &str| {
        let mut places = BESIDE_THE_DISK.iter();
        places.any(|(path, _, marks)| *path == source.path && marks.contains(&mark))
    };
    found
        .iter()
        .filter(|mark| !excepted(mark))
        .map(|mark| format!("has \"{mark}\", but only Disk changes a volume: nowhere else is the power cut"))
        .collect()
}

#[test]
fn what_changes_a_volume_beside_the_disk_is_named() {
    for (path, call, broken) in [
        ("src/store/tags.rs", "file.sync_all()", 1),
        ("src/store/renewal.rs", "fs::rename(from, to)", 1),
        ("src/store/renewal.rs", "file.set_modified(now)", 0),
        ("src/store/disk/remove.rs", "fs::remove_file(path)", 0),
        ("src/store/tests/faults.rs", "fs::write(path, bytes)", 0),
        ("src/health.rs", "fs::write(path, bytes)", 0),
    ] {
        let text = format!("//! Doc.\nfn f() {{ {call} }}");
        let found = rule(&Source { path, text: &text });
        assert_eq!(found.len(), broken, "{path}: {found:?}");
    }
}

#[test]
fn every_exception_is_still_there() {
    for (path, why, marks) in BESIDE_THE_DISK {
        let text = std::fs::read_to_string(super::package().join(path)).unwrap();
        let found = Source { path, text: &text }.found(&MARKS_OF_CHANGES);
        assert_eq!(found.len(), marks.len(), "{path} ({why}) has {found:?}");
    }
}
