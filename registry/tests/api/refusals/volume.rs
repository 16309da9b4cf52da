//! Ports and volumes that cannot be had: taken, of somebody else, or not there.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::time::Duration;

use super::assert_refused;
use crate::program::{Served, executable, other_user, plain, program, program_as};

#[test]
fn ports_that_cannot_be_had_are_named_with_where_they_are_written() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let variable = "REGISTRY_HTTP_ADDR";
    assert_refused(
        plain(directory.path()).env(variable, &address),
        &[
            variable,
            "http.address",
            &address,
            "in use by another process; stop that one",
        ],
    );
    assert_refused(
        plain(directory.path()).env(variable, "192.0.2.1:5000"),
        &[variable, "http.address", "write an address of this machine"],
    );
    let executable = executable();
    let mut command = program_as(other_user(), &executable, &["serve"]);
    // where the kernel lets everybody listen on small ports, an address of another machine is refused
    let is_free = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .is_ok_and(|start| start.trim() == "0");
    let (address, remedy) = if is_free {
        ("192.0.2.1:81", "write an address of this machine")
    } else {
        ("127.0.0.1:81", "write a port of at least 1024")
    };
    command.env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", directory.path());
    assert_refused(
        command.env(variable, address),
        &[variable, "http.address", remedy],
    );

    let config = directory.path().join("config.yaml");
    let file = config.to_str().unwrap();
    let address = taken.local_addr().unwrap();
    fs::write(
        &config,
        format!("http: {{address: ':0'}}\nhealth: {{address: '{address}'}}"),
    )
    .unwrap();
    let serve = || program(&["serve", "--config", file]);
    assert_refused(&mut serve(), &[file, "health.address", "write another port"]);
    assert_refused(
        serve().env(variable, address.to_string()),
        &[
            variable,
            "health.address",
            "what http.address uses; write another port",
        ],
    );
}

#[test]
fn a_volume_that_cannot_be_used_is_named_with_what_set_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "x").unwrap();
    let variable = "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY";
    let key = "storage.volume.path";
    assert_refused(
        &mut plain(&file),
        &[
            variable,
            key,
            file.to_str().unwrap(),
            "is not a directory; write the path of one",
        ],
    );
    assert_refused(
        &mut plain(Path::new("/proc/registry")),
        &[
            variable,
            key,
            "/proc/registry",
            "cannot create it",
            "create it for that user",
        ],
    );
    let config = directory.path().join("config.yaml");
    let text = format!(
        "http: {{address: '127.0.0.1:0'}}\nstorage: {{volume: {{path: {}}}}}",
        file.display()
    );
    fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    assert_refused(
        &mut program(&["serve", "--config", config]),
        &[config, key, "not a directory"],
    );
    fs::create_dir_all(directory.path().join("volume/portolan/v1")).unwrap();
    fs::write(
        directory.path().join("volume/portolan/v1/FORMAT"),
        "{\"format\":2}",
    )
    .unwrap();
    assert_refused(
        &mut plain(&directory.path().join("volume")),
        &[variable, key, "newer version", "run that version"],
    );
}

#[test]
fn a_volume_of_another_user_is_named_with_key_and_remedy() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let user = other_user();
    let executable = executable();
    let serve = |volume: &Path| {
        let mut command = program_as(user, &executable, &["serve"]);
        command.env("REGISTRY_HTTP_ADDR", "127.0.0.1:0");
        command.env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", volume);
        command
    };
    let made = |name: &str, mode: u32, owner: Option<u32>| {
        let path = directory.path().join(name);
        fs::create_dir(&path).unwrap();
        chown(&path, owner, owner).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    // root alone can make what belongs to somebody else
    let owner = user.map(|_| 0);
    let closed = made("closed", 0o000, owner);
    let remedy = if user.is_some() {
        "`chown -R 65532:65532 "
    } else {
        "`chmod u+rwx "
    };
    for path in [closed.clone(), closed.join("below")] {
        let parts = ["storage.volume.path", closed.to_str().unwrap(), remedy];
        assert_refused(&mut serve(&path), &parts);
    }
    let partly = made("partly", 0o755, owner);
    let inside = partly.join("portolan");
    fs::create_dir(&inside).unwrap();
    chown(&inside, owner, owner).unwrap();
    fs::set_permissions(&inside, fs::Permissions::from_mode(0o000)).unwrap();
    if user.is_some() {
        let whole = format!("`chown -R 65532:65532 {}`", partly.display());
        assert_refused(&mut serve(&partly), &[inside.to_str().unwrap(), &whole]);
    }
    let readable = made("readable", 0o555, owner);
    let served = Served::start(&mut serve(&readable));
    let remedy = if user.is_some() {
        "`chown -R 65532:65532 "
    } else {
        "`chmod -R u+rwX "
    };
    for part in [
        "storage.volume.path",
        readable.to_str().unwrap(),
        "only serves pulls",
        remedy,
    ] {
        assert!(served.said.contains(part), "no {part:?} in: {}", served.said);
    }
    for path in [closed, readable, inside] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn a_volume_in_use_is_told_at_once_and_given_up_after_30_seconds() {
    let directory = tempfile::tempdir().unwrap();
    let first = Served::start(&mut plain(directory.path()));
    let started = std::time::Instant::now();
    let mut second = plain(directory.path()).spawn().unwrap();
    let mut log = BufReader::new(second.stderr.take().unwrap());
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    assert!(started.elapsed() < Duration::from_secs(20), "silent for too long");
    let holder = format!("in use by process {} on host ", first.id());
    let path = directory.path().to_str().unwrap();
    for part in ["storage.volume.path", path, &holder, "at most 30s"] {
        assert!(line.contains(part), "no {part:?} in: {line}");
    }
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert_eq!(second.wait().unwrap().code(), Some(1));
    let variable = "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: storage.volume.path";
    for part in [
        variable,
        path,
        &holder,
        "within 30s; stop it, or give this registry",
    ] {
        assert!(rest.contains(part), "no {part:?} in: {rest}");
    }
}

#[test]
fn a_volume_that_cannot_be_repaired_is_told_with_what_keeps_from_it() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let volume = directory.path().join("volume");
    drop(Served::start(&mut plain(&volume)));
    let path = volume.to_str().unwrap();
    let repair = ["fsck", "--repair", "--directory", path];
    let executable = executable();
    fs::set_permissions(&volume, fs::Permissions::from_mode(0o555)).unwrap();
    let sentence = assert_refused(
        &mut program_as(other_user(), &executable, &repair),
        &[path, "takes no writes", "if the registry runs as another user"],
    );
    assert!(!sentence.contains("what it had changed"), "{sentence}");
    fs::set_permissions(&volume, fs::Permissions::from_mode(0o755)).unwrap();

    fs::write(volume.join("portolan/v1/FORMAT"), "{\"format\": 2}").unwrap();
    let sentence = assert_refused(
        &mut program(&repair),
        &["cannot repair: ", path, "written by a newer version"],
    );
    assert!(!sentence.contains("stop the registry"), "{sentence}");
}

#[test]
fn a_directory_that_cannot_be_checked_is_named_with_the_cause_before_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "x").unwrap();
    let missing = directory.path().join("missing");
    let unused = directory.path().join("unused");
    fs::create_dir(&unused).unwrap();
    for (path, cause) in [
        (&unused, "has nothing of a registry in it"),
        (&missing, "cannot be checked (No such file or directory"),
        (&file, "cannot be checked (Not a directory"),
    ] {
        let path = path.to_str().unwrap();
        for flags in [&["fsck"][..], &["fsck", "--repair"]] {
            let sentence = assert_refused(
                program(flags).args(["--directory", path]),
                &[path, cause, "say with --directory"],
            );
            assert!(sentence.ends_with("this user may read"), "{sentence}");
        }
    }
    assert_eq!(fs::read_dir(&unused).unwrap().count(), 0);
}
