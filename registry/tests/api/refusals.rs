//! Bad input of the program: each row is a mistake, and the file, the key and the remedy that the sentence must have.

mod files;
mod filesystem;
mod volume;

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Output};

use crate::program::program;

/// The exit status and the one sentence.
fn refused(command: &mut Command) -> (i32, String) {
    let Output { status, stderr, .. } = command.output().unwrap();
    let sentence = String::from_utf8(stderr).unwrap();
    // the log comes before it
    let last = sentence.lines().last().unwrap_or_default().to_owned();
    (status.code().unwrap(), last)
}

fn assert_refused(command: &mut Command, parts: &[&str]) -> String {
    let (status, sentence) = refused(command);
    assert_eq!(status, 1, "{sentence}");
    for part in parts {
        assert!(sentence.contains(part), "no {part:?} in: {sentence}");
    }
    assert!(sentence.starts_with("portolan-registry: "), "{sentence}");
    for word in ["mapping start", "from_str", "Option<", "KeyMismatch"] {
        assert!(!sentence.contains(word), "{word:?} in: {sentence}");
    }
    sentence
}

#[test]
fn a_wrong_command_line_ends_with_status_2() {
    for (arguments, part) in [
        (&[][..], "Usage"),
        (&["sreve"], "'serve'"),
        (&["serve", "--port", "1"], "'--port'"),
        (&["serve", "--config"], "--config <FILE>"),
        (&["serve", "extra"], "'extra'"),
        (&["check-config"], "<FILE>"),
        (&["check-config", "--fles", "x"], "'--files'"),
        (&["hash-password", "secret"], "Usage"),
    ] {
        let output = program(arguments).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn variables_that_cannot_be_are_named_in_one_sentence() {
    const DIRECTORY: &str = "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY";
    const ADDRESS: &str = "REGISTRY_HTTP_ADDR";
    const DELETE: &str = "REGISTRY_STORAGE_DELETE_ENABLED";
    for (name, value, remedy) in [
        (ADDRESS, &b"nonsense"[..], "write an address such as"),
        (ADDRESS, b"", "write an address such as"),
        (ADDRESS, b":99999", "write a number from 0 to 65535"),
        (ADDRESS, b":-1", "write a number from 0 to 65535"),
        (ADDRESS, b"http://localhost:5000", "write one such as 0.0.0.0"),
        (ADDRESS, b"registry:5000", "write one such as 0.0.0.0"),
        (ADDRESS, b"::1", "[::1]"),
        (ADDRESS, b"\xff:5000", "no UTF-8 text; write it as such"),
        (DELETE, b"perhaps", "write true or false"),
        (DELETE, b"", "write true or false"),
        (DELETE, b"\xff", "no UTF-8 text; write it as such"),
        (DIRECTORY, b"", "write a directory"),
        ("REGISTRY_AUTH_HTPASSWD_PATH", b"/x", "auth.usersFile"),
        ("REGISTRY_STORAGE_S3_BUCKET", b"x", DIRECTORY),
    ] {
        let mut command = program(&["serve"]);
        command.env(name, std::ffi::OsStr::from_bytes(value));
        assert_refused(&mut command, &[name, remedy]);
    }
}

/// What is wrong with a configuration, and what the sentence must have; `\n` begins a line.
const CONFIGURATIONS: &str = r#"
http:\n  adress: :5000 | line 2 | http: unknown key "adress" | write one of address
http: {address: ':1' | line 1 | close it
http:\n	address: :1 | line 2 | indent with spaces
http: {address: ':70000'} | line 1 | http.address | a number from 0 to 65535
http: {address: 5000} | http.address | write an address such as
http: {address: [a]} | http.address | write one without brackets
http: {address: } | http.address | there is no value; write one
http: {maxConnections: 0} | http.maxConnections | write a number of at least 1
http: {maxConnections: -1} | http.maxConnections | write one from 1
http: {maxConnections: many} | http.maxConnections | write one from 1
http: {hosts: registry} | http.hosts | write one in brackets
http: {hosts: ['a b']} | http.hosts[0] | write a name such as
http: 5000 | line 1, column 7 | http: there | write `key: value` lines
just text | line 1, column 1 | write `key: value` lines
auth: | auth: there are no keys here | write `key: value` lines
health: {address: ':5000'} | health.address | http.address | write another port
log: {level: loud} | log.level | write one of error
log: {}\nlog: {} | line 2 | "log" is there twice; write it once
log: {}\n---\nlog: {} | line 3 | a second YAML document | keep one
storage: {deleteEnabled: maybe} | storage.deleteEnabled | true nor false; write
storage: {volume: /data} | storage.volume | write `key: value` lines
uploads: {maxBlobBytes: 0} | uploads.maxBlobBytes | write a number of at least 1, or leave
scrub: {bytesPerSecond: 0} | scrub.bytesPerSecond | write a number of at least 1, or leave
shutdown: {drainTimeout: 20} | shutdown.drainTimeout | write numbers with units
"#;

#[test]
fn a_configuration_that_cannot_be_is_named_with_file_line_and_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yaml");
    let file = path.to_str().unwrap();
    let check = |text: &[u8], parts: &[&str]| {
        fs::write(&path, text).unwrap();
        for arguments in [["serve", "--config", file].as_slice(), &["check-config", file]] {
            assert_refused(&mut program(arguments), &[&[file], parts].concat());
        }
    };
    for row in CONFIGURATIONS.trim().lines() {
        let (text, parts) = row.split_once(" | ").unwrap();
        let parts: Vec<&str> = parts.split(" | ").collect();
        check(text.replace("\\n", "\n").as_bytes(), &parts);
    }
    check(b"log: {level: \xff}", &["no UTF-8 text; write it as such"]);
    check(b"\xff\xfel\0o\0g\0", &["no UTF-8 text; write it as such"]);
    check(b"\0\x01\x02", &["line 1, column 1", "correct this place"]);
    for (name, remedy) in [
        ("/nowhere/config.yaml", "does not exist; create it"),
        (directory.path().to_str().unwrap(), "is a directory; put a file"),
        (&format!("{file}/x"), "correct the path"),
    ] {
        assert_refused(&mut program(&["serve", "--config", name]), &[name, remedy]);
        assert_refused(&mut program(&["check-config", name]), &[name, remedy]);
    }
    let pipe = directory.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (name, remedy) in [
        (pipe.to_str().unwrap(), "no regular file; write"),
        ("/dev/null", "no regular file; write"),
    ] {
        assert_refused(&mut program(&["serve", "--config", name]), &[name, remedy]);
    }
    fs::write(&path, "\u{feff}log: {level: info}\n").unwrap();
    assert_eq!(refused(&mut program(&["check-config", file])).0, 0);
}
