//! The examples of the README and of `examples/` do what they say: text comes from the pages, programs run for real.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use portolan_config::{Config, Missing, Users};

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

#[test]
fn the_example_files_can_be_used_and_hold_every_key() {
    let config = Config::parse(&page("examples/config.yaml")).unwrap();
    Users::parse(&page("examples/users.yaml")).unwrap();
    let (mut written, mut shown) = (BTreeSet::new(), BTreeSet::new());
    let mut all = config.clone();
    all.http.max_connections = 1; // the default is left out of rendered text
    all.manifests.missing_layers = Missing::Accept;
    keys(&serde_json::to_value(&all).unwrap(), "", &mut shown);
    for key in &shown {
        let name = key.rsplit('.').next().unwrap();
        if page("examples/config.yaml").contains(&format!("{name}:")) {
            written.insert(key.clone());
        }
    }
    assert_eq!(written, shown);
}

#[test]
fn every_key_is_explained_in_the_readme() {
    let mut all = Config::parse(&page("examples/config.yaml")).unwrap();
    all.http.max_connections = 1;
    all.manifests.missing_layers = Missing::Accept;
    let mut shown = BTreeSet::new();
    keys(&serde_json::to_value(&all).unwrap(), "", &mut shown);
    assert!(shown.len() > 15, "{shown:?}");
    let readme = page("README.md");
    for key in shown {
        let (_, last) = key.rsplit_once('.').unwrap();
        let named = readme.contains(&format!("`{key}`")) || readme.contains(&format!("`.{last}`"));
        assert!(named, "{key} is not in the table");
    }
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
