//! A file system that a program in user space serves, as far as the registry asks it before it refuses.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Stdio;

use super::assert_refused;
use crate::mounted::Mounted;
use crate::program::{Served, plain, program};

/// Lengths and numbers of `linux/fuse.h`, protocol 7.31.
const HEADER: usize = 40;
const FORGET: u32 = 2;
const BATCH_FORGET: u32 = 42;
const GETATTR: u32 = 3;
const STATFS: u32 = 17;
const INIT: u32 = 26;
const NOT_IMPLEMENTED: i32 = -38;

/// Tells that its root is a directory, and does nothing else.
fn serve(mut device: File) {
    let mut buffer = vec![0; 1 << 18];
    // the kernel ends it when the file system is unmounted
    while let Ok(length) = device.read(&mut buffer) {
        assert!(length >= HEADER);
        let operation = u32::from_ne_bytes(buffer[4..8].try_into().unwrap());
        let (error, body) = match operation {
            FORGET | BATCH_FORGET => continue,
            INIT => (0, words(&[7, 31, 0, 0, 0, 4096], 16)),
            // validity; inode, size, blocks and times; mode and links
            GETATTR => {
                let mut attributes = vec![0; 16 + 60];
                attributes[16] = 1;
                attributes.extend(words(&[0o040_755, 2], 7));
                (0, attributes)
            }
            STATFS => (0, words(&[], 20)),
            _ => (NOT_IMPLEMENTED, Vec::new()),
        };
        let mut answer = u32::try_from(16 + body.len()).unwrap().to_ne_bytes().to_vec();
        answer.extend(i32::to_ne_bytes(error));
        answer.extend_from_slice(&buffer[8..16]);
        answer.extend(body);
        device.write_all(&answer).unwrap();
    }
}

/// Numbers, and zeroes up to so many.
fn words(numbers: &[u32], count: usize) -> Vec<u8> {
    let mut numbers = numbers.to_vec();
    numbers.resize(count, 0);
    numbers.into_iter().flat_map(u32::to_ne_bytes).collect()
}

#[test]
fn a_file_system_in_user_space_is_refused_unless_it_is_allowed() {
    let device = File::options().read(true).write(true).open("/dev/fuse").unwrap();
    let mounted = Mounted::new(":");
    let volume = mounted.volume();
    let path = volume.to_str().unwrap();
    let options = "fd=0,rootmode=40000,user_id=0,group_id=0";
    let mount = mounted
        .command(&["mount", "-i", "-t", "fuse", "-o", options, "none", path])
        .stdin(Stdio::from(device.try_clone().unwrap()))
        .output()
        .unwrap();
    assert!(mount.status.success(), "{mount:?}");
    let server = std::thread::spawn(move || serve(device));
    assert_refused(
        &mut mounted.registry(&["serve"]),
        &[
            "storage.volume.path",
            path,
            "is on FUSE, where",
            "write the path of a local file system",
            "storage.volume.allowUnsafeFilesystem: true",
        ],
    );
    let text = format!(
        "http: {{address: '127.0.0.1:0'}}\nstorage: {{volume: {{path: {path}, allowUnsafeFilesystem: true}}}}"
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let arguments = ["serve", "--config", file.path().to_str().unwrap()];
    let output = mounted.registry(&arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    // this one cannot do more than be looked at
    for part in ["allowed all the same", "is on FUSE", "cannot be used"] {
        assert!(said.contains(part), "no {part:?} in: {said}");
    }
    drop(mounted);
    server.join().unwrap();
}

#[test]
fn a_repair_takes_the_file_systems_that_its_configuration_allows() {
    let directory = tempfile::tempdir().unwrap();
    let volume = directory.path().join("volume");
    drop(Served::start(&mut plain(&volume)));
    let lock = volume.join("portolan/v1/LOCK");
    // a second name of one file, as every file has where case makes no difference
    std::fs::hard_link(&lock, lock.with_file_name("lock")).unwrap();
    let config = directory.path().join("config.yaml");
    let repaired = |is_allowed: bool| {
        let path = volume.display();
        let text = format!("storage: {{volume: {{path: {path}, allowUnsafeFilesystem: {is_allowed}}}}}");
        std::fs::write(&config, text).unwrap();
        let mut command = program(&["fsck", "--repair", "--config", config.to_str().unwrap()]);
        command.output().unwrap().status.code()
    };
    assert_eq!((repaired(false), repaired(true)), (Some(1), Some(0)));
}
