//! The examples of the README and of `examples/` do what they say: text comes from the pages, programs run for real.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use portolan_config::{
    Admin, AdminTls, Auth, Config, Duration, Health, Http, Log, LogFormat, LogLevel, Manifests, Missing,
    Scrub, ServerTls, Shutdown, Storage, Token, Uploads, Users, Volume,
};

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The blocks of the README that stand below a comment with that word.
fn marked(word: &str) -> Vec<String> {
    let (page, mark) = (page("README.md"), format!("<!-- {word} -->\n```"));
    let blocks = page.split(&mark).skip(1);
    blocks
        .map(|rest| {
            rest.split_once('\n')
                .unwrap()
                .1
                .split("```")
                .next()
                .unwrap()
                .to_owned()
        })
        .collect()
}

fn shell(directory: &Path, script: &str) -> Command {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_portolan-registry"));
    let path = format!("{}:{}", program.parent().unwrap().display(), env!("PATH"));
    let mut command = Command::new("sh");
    command
        .env("PATH", path)
        .current_dir(directory)
        .args(["-ec", script])
        .stdin(Stdio::null());
    command
}

/// Every key of a document, as paths.
fn keys(value: &serde_json::Value, prefix: &str, found: &mut BTreeSet<String>) {
    if let Some(map) = value.as_object() {
        for (key, value) in map {
            let path = format!("{prefix}{key}");
            keys(value, &format!("{path}."), found);
            if !value.is_object() {
                found.insert(path);
            }
        }
    }
}

/// With every key, and none as it is by default: those are left out of what is rendered. A field that is new does not
/// compile here until it has a value.
fn everything() -> Config {
    let file = PathBuf::from("file");
    let address = |text: &str| text.parse().unwrap();
    Config {
        http: Http {
            address: address(":1"),
            tls: Some(ServerTls {
                certificate_file: file.clone(),
                key_file: file.clone(),
            }),
            hosts: vec!["registry.example.com".to_owned()],
            external_url: Some("https://registry.example.com".to_owned()),
            max_connections: 1,
        },
        admin: Some(Admin {
            address: address(":2"),
            tls: AdminTls {
                certificate_file: file.clone(),
                key_file: file.clone(),
                client_ca_file: file.clone(),
            },
        }),
        health: Some(Health {
            address: address(":3"),
        }),
        storage: Storage {
            delete_enabled: false,
            read_only: true,
            volume: Volume {
                path: file.clone(),
                allow_unsafe_filesystem: true,
                reserve_bytes: Some(1),
            },
        },
        manifests: Manifests {
            missing_layers: Missing::Accept,
            missing_children: Missing::Refuse,
        },
        uploads: Uploads {
            max_blob_bytes: NonZeroU64::new(1),
        },
        scrub: Scrub {
            interval: Duration::from_secs(1),
            bytes_per_second: NonZeroU64::MIN,
        },
        auth: Some(Auth {
            users_file: file.clone(),
            token: Some(Token {
                keys_directory: file,
                service: "registry.example.com".to_owned(),
                lifetime: Duration::from_secs(60),
            }),
        }),
        log: Log {
            level: LogLevel::Error,
            format: LogFormat::Json,
        },
        shutdown: Shutdown {
            drain_timeout: Duration::from_secs(1),
        },
    }
}

fn all_keys() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    keys(&serde_json::to_value(everything()).unwrap(), "", &mut found);
    assert!(found.len() > 25, "{found:?}");
    found
}

#[test]
fn the_example_files_can_be_used_and_hold_every_key() {
    let text = page("examples/config.yaml");
    Config::parse(&text).unwrap();
    Users::parse(&page("examples/users.yaml")).unwrap();
    let mut written = BTreeSet::new();
    let mut above: Vec<(usize, &str)> = Vec::new();
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':').filter(|(name, _)| !name.contains('#')) else {
            continue;
        };
        let indent = name.len() - name.trim_start().len();
        above.retain(|(other, _)| *other < indent);
        above.push((indent, name.trim()));
        // a section has its keys in the lines below
        let is_section = value.trim().is_empty() || value.trim_start().starts_with('#');
        if !is_section {
            let path: Vec<&str> = above.iter().map(|(_, name)| *name).collect();
            written.insert(path.join("."));
        }
    }
    assert_eq!(written, all_keys());
}

#[test]
fn every_key_is_explained_in_the_readme() {
    let readme = page("README.md");
    let (_, section) = readme.split_once("\n## Configuration\n").unwrap();
    let rows = section.split("\n## ").next().unwrap().lines();
    let mut explained = BTreeSet::new();
    for row in rows.filter_map(|row| row.strip_prefix("| `")) {
        let names = row.split(" | ").next().unwrap().split(", ");
        let mut parent = "";
        for name in names.map(|name| name.trim_matches('`')) {
            // `.keyFile` is beside the name before it
            if let Some(last) = name.strip_prefix('.') {
                explained.insert(format!("{parent}.{last}"));
            } else {
                parent = name.rsplit_once('.').unwrap().0;
                explained.insert(name.to_owned());
            }
        }
    }
    assert_eq!(explained, all_keys());
}

#[test]
fn the_scripts_of_the_readme_make_a_configuration_that_is_served() {
    let directory = tempfile::tempdir().unwrap();
    let scripts = marked("run");
    let (serve, prepare) = scripts.split_first().unwrap();
    for script in prepare {
        let output = shell(directory.path(), script).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
    }
    let made = rcgen::generate_simple_self_signed(vec!["registry.example.com".to_owned()]).unwrap();
    fs::write(directory.path().join("tls.crt"), made.cert.pem()).unwrap();
    fs::write(directory.path().join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    fs::write(directory.path().join("users.yaml"), &marked("users.yaml")[0]).unwrap();
    fs::write(directory.path().join("config.yaml"), &marked("config.yaml")[0]).unwrap();
    let check = shell(
        directory.path(),
        "portolan-registry check-config --files config.yaml",
    )
    .output()
    .unwrap();
    assert!(check.status.success(), "{check:?}");

    let script = serve.replace("portolan-registry serve", "exec portolan-registry serve");
    let mut child = shell(directory.path(), &script)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let serving = log
        .lines()
        .map_while(Result::ok)
        .any(|line| line.contains("serving"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(serving);
}
