//! What the kernel tells of a process and of this machine. IO.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

/// The program that is measured, built like this one.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_portolan-registry");

/// The unit of these times, the same on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// What a process has used so far, user and system.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let [user, system, ..] = stat(&pid.to_string())?;
    Ok(user + system)
}

/// What the children have used that this process has waited for.
pub(crate) fn cpu_of_children() -> anyhow::Result<Duration> {
    let [_, _, user, system] = stat("self")?;
    Ok(user + system)
}

fn stat(process: &str) -> anyhow::Result<[Duration; 4]> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = text
        .rsplit_once(')')
        .context("/proc/<pid>/stat has no name in it")?;
    let mut times = fields
        .split_whitespace()
        .skip(11)
        .take(4)
        .map(|field| anyhow::Ok(TICK * field.parse::<u32>()?));
    let mut next = || times.next().context("/proc/<pid>/stat is short")?;
    Ok([next()?, next()?, next()?, next()?])
}

/// From here on the peak counts anew.
pub(crate) fn forget_peak(pid: u32) -> anyhow::Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").context("cannot reset the peak of the memory")
}

/// Memory in bytes: now, and the most since the peak was forgotten.
pub(crate) fn memory(pid: u32) -> anyhow::Result<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.split_whitespace().nth(1)?.parse::<u64>().ok());
        number
            .map(|kilobytes| kilobytes << 10)
            .with_context(|| format!("/proc/{pid}/status has no {name}"))
    };
    Ok((field("VmRSS")?, field("VmHWM")?))
}

/// A line about where this runs.
pub(crate) fn machine(directory: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find(|line| line.starts_with("model name"));
    let model = model
        .and_then(|line| line.split(": ").nth(1))
        .unwrap_or("processor");
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?");
    let volume = mounted(directory).unwrap_or_else(|| "an unknown file system".to_owned());
    format!("{cores} cores ({model}), {volume}, load {load} before it began")
}

/// The file system that a directory is on, with its options: with `discard`, each file that is removed waits for the disk.
fn mounted(directory: &Path) -> Option<String> {
    let device = fs::metadata(directory).ok()?.dev();
    let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mount = mounts
        .lines()
        .find(|line| line.split(' ').nth(2) == Some(&device))?;
    let mut fields = mount.split_once(" - ")?.1.split(' ');
    let (kind, options) = (fields.next()?, fields.nth(1)?);
    Some(format!("{kind} with options {options}"))
}
