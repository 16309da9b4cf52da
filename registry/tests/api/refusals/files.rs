//! Files that a configuration names and that cannot be used.

use std::fs;
use std::path::Path;

use super::{assert_refused, refused};
use crate::fixture::{Authority, usual_users, write_token_keys, write_users};
use crate::mounted::Mounted;
use crate::program::{Served, program};

/// Certificates, keys and users of each kind that cannot be used, below a directory.
fn write_files(directory: &Path) {
    let write = |name: &str, content: &[u8]| fs::write(directory.join(name), content).unwrap();
    let authority = Authority::new();
    let (certificate, key) = authority.issue(&["a"]);
    let (_, other) = authority.issue(&["a"]);
    let head = certificate.split_inclusive('\n').take(3).collect::<String>();
    write("crt", certificate.as_bytes());
    write("key", key.as_bytes());
    write("other", other.as_bytes());
    write("cut", head.as_bytes());
    write(
        "damaged",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    write("garbage", b"garbage");
    write("empty", b"");
    write("binary", b"\x80\0\xff");
    write(
        "twice.yaml",
        b"users: [{name: a, passwordSha256: []}, {name: a, passwordSha256: [x]}]",
    );
    write(
        "glob.yaml",
        b"users: [{name: a, passwordSha256: [], permissions: [{repositories: ['A'], actions: [pull]}]}]",
    );
    write(
        "action.yaml",
        b"users:\n- {name: a, passwordSha256: [], permissions: [{repositories: ['**'], actions: [write]}]}",
    );
    write("secret.yaml", b"users:\n- name: a\n  passwordSha256: hunter2\n");
    write("null.yaml", b"users:\n");
    write_users(directory, usual_users());
    for name in ["none", "unnamed", "nokey", "blank", "bad"] {
        fs::create_dir(directory.join(name)).unwrap();
    }
    write_token_keys(&directory.join("unnamed"), "", &["k1"]);
    fs::remove_file(directory.join("unnamed/active")).unwrap();
    write_token_keys(&directory.join("nokey"), "k2", &["k1"]);
    write_token_keys(&directory.join("blank"), "\n", &["k1"]);
    write("bad/active", b"k1");
    write("bad/k1.pem", b"garbage");
}

const SERVER: &str = "http: {tls: {certificateFile: @, keyFile: @}}";
const ADMIN: &str = "admin: {tls: {certificateFile: @, keyFile: @, clientCaFile: @}}";
const USERS: &str = "auth: {usersFile: @}";
const KEYS: &str = "auth: {usersFile: ~/users.yaml, token: {keysDirectory: @, service: s}}";

/// The files of a configuration, the wrong one marked; then its key, and what to do.
const FILES: &str = r#"
server !missing key | http.tls.certificateFile | does not exist; create it
server !none key | http.tls.certificateFile | is a directory; put a file
server !key/x key | http.tls.certificateFile | correct the path
server !empty key | http.tls.certificateFile | no PEM; write text
server !key key | http.tls.certificateFile | write one that begins with
server !cut key | http.tls.certificateFile | write one that begins with
server !damaged key | http.tls.certificateFile | damaged; write it again
server crt !missing | http.tls.keyFile | does not exist; create it
server crt !binary | http.tls.keyFile | no PEM; write text
server crt !crt | http.tls.keyFile | write an unencrypted PKCS#8
server crt !other | http.tls.keyFile | write the one that the certificate was made for
admin !missing key crt | admin.tls.certificateFile | create it
admin crt !other crt | admin.tls.keyFile | write the one
admin crt key !missing | admin.tls.clientCaFile | create it
admin crt key !garbage | admin.tls.clientCaFile | no PEM; write text
admin crt key !key | admin.tls.clientCaFile | write the authority
admin crt key !damaged | admin.tls.clientCaFile | write the authority
users !missing | auth.usersFile | create it
users !empty | auth.usersFile | key "users" is missing here; add it
users !binary | auth.usersFile | no UTF-8 text; write it as such
users !null.yaml | line 1, column 6: users: | write one in brackets
users !twice.yaml | users[1].name | write each user once
users !glob.yaml | users[0].permissions[0].repositories[0] | write a-z
users !action.yaml | users[0].permissions[0].actions[0] | write one of pull, push, delete
users !secret.yaml | users[0].passwordSha256: | write one in brackets
keys !missing | auth.token.keysDirectory | create it
keys !none | auth.token.keysDirectory | put a P-256 key there
keys !unnamed | auth.token.keysDirectory | active": it does not exist; create it
keys !nokey | auth.token.keysDirectory | no k2.pem; write the id
keys !blank | auth.token.keysDirectory | file active is empty; write the id
keys !bad | auth.token.keysDirectory | no P-256 private key in PKCS#8 PEM; write
"#;

#[test]
fn files_that_cannot_be_used_are_named_with_their_key() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_str().unwrap();
    write_files(directory.path());
    let config = format!("{root}/config.yaml");
    for row in FILES.trim().lines() {
        let [mistake, key, remedy] = row.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("{row}")
        };
        let mut given = mistake.split(' ');
        let template = match given.next() {
            Some("server") => SERVER,
            Some("admin") => ADMIN,
            Some("users") => USERS,
            _ => KEYS,
        };
        let text = given.clone().fold(template.to_owned(), |text, name| {
            text.replacen('@', &format!("{root}/{}", name.trim_matches('!')), 1)
        });
        fs::write(&config, text.replace('~', root)).unwrap();
        let wrong = given.find_map(|name| name.strip_prefix('!')).unwrap();
        let named = format!("\"{root}/{wrong}");
        for arguments in [
            ["serve", "--config", &config],
            ["check-config", "--files", &config],
        ] {
            assert_refused(&mut program(&arguments), &[&config, &named, key, remedy]);
            assert!(!refused(&mut program(&arguments)).1.contains("hunter2"));
        }
        assert_eq!(refused(&mut program(&["check-config", &config])).0, 0);
    }
}

#[test]
fn an_expired_certificate_can_be_served_and_is_told_with_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (certificate, key) = Authority::new().issue_changed(&["a"], |params| {
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    });
    fs::write(path("crt"), certificate).unwrap();
    fs::write(path("key"), key).unwrap();
    let text = format!(
        "http: {{address: '127.0.0.1:0', tls: {{certificateFile: {}, keyFile: {}}}}}\nstorage: {{volume: {{path: {}}}}}\n",
        path("crt"),
        path("key"),
        path("volume")
    );
    fs::write(path("config.yaml"), text).unwrap();
    let sentence = format!(
        "http.tls.certificateFile: \"{}\": the certificate has expired; write one that is valid",
        path("crt")
    );
    let output = program(&["check-config", "--files", &path("config.yaml")])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains(&sentence), "{said}");
    let served = Served::start(&mut program(&["serve", "--config", &path("config.yaml")]));
    assert!(served.said.contains(&sentence), "{}", served.said);
}

#[test]
fn the_file_of_registry_2_is_never_ignored() {
    let file = "/etc/docker/registry/config.yml";
    let mounted = Mounted::new(&format!(
        "mount -t tmpfs none /etc; mkdir -p /etc/docker/registry; echo 'auth: {{htpasswd: {{}}}}' > {file}"
    ));
    let parts = [file, "registry:2", "--config FILE", "take that file away"];
    assert_refused(&mut mounted.registry(&["serve"]), &parts);
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config.yaml");
    fs::write(&config, "http: {address: '127.0.0.1:0'}\n").unwrap();
    Served::start(&mut mounted.registry(&["serve", "--config", config.to_str().unwrap()]));
}

#[test]
fn a_file_of_a_flag_that_cannot_be_used_is_named_with_that_flag() {
    let directory = tempfile::tempdir().unwrap();
    write_files(directory.path());
    let ca = Authority::new().pem();
    fs::write(directory.path().join("ca"), ca).unwrap();
    for (ca, certificate, key, flag, remedy) in [
        (
            "damaged",
            "crt",
            "key",
            "--ca-file",
            "write the authority that signed the server's",
        ),
        (
            "key",
            "crt",
            "key",
            "--ca-file",
            "write the authority that signed the server's",
        ),
        ("garbage", "crt", "key", "--ca-file", "no PEM; write text"),
        ("missing", "crt", "key", "--ca-file", "does not exist; create it"),
        ("none", "crt", "key", "--ca-file", "is a directory; put a file"),
        (
            "ca",
            "cut",
            "key",
            "--certificate-file",
            "write one that begins with",
        ),
        ("ca", "crt", "crt", "--key-file", "write an unencrypted PKCS#8"),
        (
            "ca",
            "crt",
            "other",
            "--key-file",
            "write the one that the certificate was made for",
        ),
    ] {
        let file = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let mut command = program(&["gc", "--server", "https://127.0.0.1:1"]);
        command
            .args(["--ca-file", &file(ca), "--certificate-file", &file(certificate)])
            .args(["--key-file", &file(key)]);
        let wrong = match flag {
            "--ca-file" => file(ca),
            "--key-file" => file(key),
            _ => file(certificate),
        };
        assert_refused(&mut command, &[flag, &format!("\"{wrong}\""), remedy]);
    }
}
