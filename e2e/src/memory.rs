//! Anonymous memory of a Pod, from the `memory.stat` of its cgroup (v1 and v2).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Bytes of anonymous memory of all processes of the Pod with this UID, on the node whose cgroups we see.
pub fn anonymous_bytes(pod_uid: &str) -> Result<u64> {
    let root = Path::new("/sys/fs/cgroup");
    let (root, key) = match root.join("memory") {
        v1 if v1.is_dir() => (v1, "total_rss "),
        _ => (root.to_owned(), "anon "),
    };
    let cgroup = find(&root.join("kubepods"), pod_uid)
        .with_context(|| format!("no cgroup of Pod {pod_uid} below {}", root.display()))?;
    let file = cgroup.join("memory.stat");
    let stat = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let value = stat.lines().find_map(|line| line.strip_prefix(key));
    let value = value.with_context(|| format!("{} has no line {key:?}", file.display()))?;
    Ok(value.trim().parse()?)
}

/// Mebibytes with one digit.
pub fn mebibytes(bytes: u64) -> String {
    let tenths = bytes * 10 / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// The Pod's directory: below `kubepods` or one of its quality-of-service directories.
fn find(kubepods: &Path, pod_uid: &str) -> Option<PathBuf> {
    let name = format!("pod{pod_uid}");
    ["", "burstable", "besteffort"]
        .iter()
        .map(|class| kubepods.join(class).join(&name))
        .find(|path| path.is_dir())
}

#[cfg(test)]
mod tests {
    use super::mebibytes;

    #[test]
    fn bytes_are_shown_in_mebibytes() {
        assert_eq!(mebibytes(41_943_040), "40.0 MiB");
        assert_eq!(mebibytes(1_572_864), "1.5 MiB");
    }
}
