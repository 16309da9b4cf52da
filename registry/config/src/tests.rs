//! The files as people write them: what is understood, and the sentence for what is not.

use std::path::PathBuf;

use super::*;

const FULL: &str = "\
http:
  address: 0.0.0.0:5000
  tls: {certificateFile: /etc/portolan/tls/tls.crt, keyFile: /etc/portolan/tls/tls.key}
  hosts: [registry.team-a.svc, 'registry:5000']
admin:
  address: 0.0.0.0:5001
  tls: {certificateFile: /a/tls.crt, keyFile: /a/tls.key, clientCaFile: /a/ca.crt}
health: {address: 0.0.0.0:5002}
storage:
  deleteEnabled: true
  readOnly: true
  volume: {path: /var/lib/registry, allowUnsafeFilesystem: true, reserveBytes: 0}
auth:
  usersFile: /etc/portolan/users/users.yaml
  token: {keysDirectory: /etc/portolan/token-keys, service: registry.team-a.svc, lifetime: 5m}
log: {level: info, format: json}
shutdown: {drainTimeout: 20s}
";

fn refusal(text: &str) -> String {
    Config::parse(text).unwrap_err().to_string()
}

#[test]
fn every_key_is_understood_and_survives_a_round_trip() {
    let config = Config::parse(FULL).unwrap();
    assert_eq!(config.http.address, "0.0.0.0:5000".parse().unwrap());
    assert_eq!(config.http.hosts, ["registry.team-a.svc", "registry:5000"]);
    assert_eq!(
        config.admin.as_ref().unwrap().tls.client_ca_file,
        PathBuf::from("/a/ca.crt")
    );
    assert_eq!(
        config.auth.as_ref().unwrap().token.as_ref().unwrap().lifetime,
        Duration::from_secs(300)
    );
    assert_eq!(config.log.format, LogFormat::Json);
    let volume = &config.storage.volume;
    assert!(config.storage.read_only && volume.allow_unsafe_filesystem);
    assert_eq!(volume.reserve_bytes, Some(0));
    assert_eq!(Config::parse(&config.to_yaml()).unwrap(), config);
    assert_eq!(
        Config::parse(&Config::default().to_yaml()).unwrap(),
        Config::default()
    );
}

#[test]
fn an_empty_file_is_the_default_that_serves_anybody_on_port_5000() {
    for text in ["", "\n", "# nothing\n", "\u{feff}", "\u{feff}# nothing\n"] {
        let config = Config::parse(text).unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.http.address.to_string(), ":5000");
        assert!(config.storage.delete_enabled && config.auth.is_none() && config.http.tls.is_none());
    }
    assert!(!Config::standalone().storage.delete_enabled);
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_keys_that_exist() {
    let sentence = refusal("storage:\n  deleteEnabled: true\nhttp:\n  adress: :5000\n");
    assert!(
        sentence.starts_with("line 4, column 3: http: unknown key \"adress\""),
        "{sentence}"
    );
    assert!(sentence.contains("address"), "{sentence}");
    let sentence = refusal("http:\n  tls: {certificateFile: a, keyFile: b, minVersion: 1}\n");
    assert!(
        sentence.starts_with("line 2, column 41: http.tls: unknown key \"minVersion\""),
        "{sentence}"
    );
    let sentence = refusal("storages: {}\n");
    assert!(
        sentence.starts_with("line 1, column 1: unknown key \"storages\""),
        "{sentence}"
    );
}

#[test]
fn malformed_yaml_is_named_with_its_place_and_what_to_do() {
    for (text, parts) in [
        ("http:\n  hosts: [a\n", ["line 2", "close it"]),
        ("log: 'info", ["line 1, column 6", "close it"]),
        ("log:\n\tlevel: info", ["line 2", "indent with spaces"]),
        ("log: {level: info}}", ["line 1, column 19", "correct this place"]),
        (
            "log: *a",
            ["line 1, column 6: an alias", "write the value itself"],
        ),
        ("log: {}\n---\nhttp: {}", ["line 3, column 1", "keep one"]),
        ("log: \0", ["line 1", "correct this place"]),
    ] {
        let sentence = refusal(text);
        assert!(
            parts.iter().all(|part| sentence.contains(part)),
            "{text}: {sentence}"
        );
        assert!(
            !sentence.contains('\n') && !sentence.contains("from_str"),
            "{sentence}"
        );
    }
}

#[test]
fn values_of_another_shape_are_named_with_their_key_and_the_shape_to_write() {
    const MAP: &str = "there are no keys here; write `key: value` lines";
    const LIST: &str = "this is no list; write one in brackets";
    const SINGLE: &str = "this is no single value; write one without brackets";
    const NUMBER: &str = "this is no whole number in range; write one from 1";
    for (text, key, problem) in [
        ("- a", "line 1, column 1", MAP),
        ("text", "line 1, column 1", MAP),
        ("http:", "http", MAP),
        ("http: 5000", "http", MAP),
        ("storage: {volume: /data}", "storage.volume", MAP),
        ("http: {hosts: registry}", "http.hosts", LIST),
        ("http: {hosts: [[a]]}", "http.hosts[0]", SINGLE),
        ("http: {address: [a]}", "http.address", SINGLE),
        (
            "http: {address: ~}",
            "http.address",
            "there is no value; write one",
        ),
        ("http: {maxConnections: -1}", "http.maxConnections", NUMBER),
        (
            "http: {maxConnections: 4294967296}",
            "http.maxConnections",
            NUMBER,
        ),
        ("http: {maxConnections: many}", "http.maxConnections", NUMBER),
        (
            "storage: {volume: {reserveBytes: 64Mi}}",
            "storage.volume.reserveBytes",
            "this is no whole number; write one without a unit",
        ),
        (
            "storage: {deleteEnabled: maybe}",
            "storage.deleteEnabled",
            "this is neither true nor false; write one of the two",
        ),
        (
            "log: {level: [info]}",
            "log.level",
            "this is no single word; write one without brackets",
        ),
        (
            "log: &a {level: info}\nhttp: *a",
            "http",
            "unknown key \"level\"; write one of address",
        ),
    ] {
        let sentence = refusal(text);
        assert!(
            sentence.contains(&format!("{key}: {problem}")),
            "{text}: {sentence}"
        );
    }
}

#[test]
fn a_section_without_a_value_is_not_taken_for_one_that_is_absent() {
    for text in ["auth:", "auth: ~", "admin:", "health:", "http: {tls: }"] {
        assert!(refusal(text).contains("there are no keys here"), "{text}");
    }
    let sentence = refusal("auth: {usersFile: u, token: }");
    assert!(
        sentence.contains("auth.token: there are no keys here"),
        "{sentence}"
    );
}

#[test]
fn a_number_without_a_value_is_not_taken_for_one_that_is_absent() {
    for (text, key) in [
        ("uploads: {maxBlobBytes: }", "uploads.maxBlobBytes"),
        ("uploads: {maxBlobBytes: ~}", "uploads.maxBlobBytes"),
        (
            "storage: {volume: {reserveBytes: }}",
            "storage.volume.reserveBytes",
        ),
    ] {
        let sentence = refusal(text);
        assert!(
            sentence.contains(&format!("{key}: this is no whole number")),
            "{text}: {sentence}"
        );
    }
}

#[test]
fn wrong_values_are_named_with_what_to_write() {
    for (text, parts) in [
        ("http: {address: '5000'}", ["line 1", "has no port"]),
        (
            "http: {address: ':70000'}",
            ["line 1", "no port; write a number from 0 to 65535"],
        ),
        (
            "http: {address: 'example.com:5000'}",
            ["line 1", "is no IP address"],
        ),
        ("http:\n  hosts: ['a b']", ["http.hosts[0]", "is no host"]),
        (
            "http: {externalUrl: registry.example.com}",
            ["http.externalUrl", "is not scheme and host"],
        ),
        (
            "http: {externalUrl: 'https://registry.example.com/'}",
            ["http.externalUrl", "no path"],
        ),
        (
            "http: {address: ':5000'}\nhealth: {address: ':5000'}",
            ["health.address", "write another port"],
        ),
        ("shutdown: {drainTimeout: 90d}", ["line 1", "is no duration"]),
        (
            "log: {level: loud}",
            ["\"loud\"", "error, warn, info, debug, trace"],
        ),
        (
            "storage: {volume: {path: ''}}",
            ["storage.volume.path", "write a path"],
        ),
        (
            "auth: {token: {keysDirectory: a, service: b}}",
            ["\"usersFile\"", "add it"],
        ),
        (
            "auth: {usersFile: u, token: {keysDirectory: a, service: b, lifetime: 5s}}",
            ["auth.token.lifetime", "1m"],
        ),
        ("http: {maxConnections: 0}", ["http.maxConnections", "at least 1"]),
        ("log: {level: info}\nlog: {level: info}", ["line 2", "twice"]),
    ] {
        let sentence = refusal(text);
        assert!(
            parts.iter().all(|part| sentence.contains(part)),
            "{text}: {sentence}"
        );
        assert!(!sentence.contains('\n'), "{sentence}");
    }
}

#[test]
fn every_problem_is_told_at_once() {
    let sentence = refusal("http: {maxConnections: 0}\nstorage: {volume: {path: ''}}");
    assert!(
        sentence.contains("http.maxConnections") && sentence.contains("storage.volume.path"),
        "{sentence}"
    );
}

#[test]
fn users_survive_a_round_trip() {
    let hash = "0123456789abcdef".repeat(4);
    let text = format!(
        "users:\n- name: push\n  passwordSha256: [\"{hash}\"]\n  permissions: [{{repositories: [\"**\"], actions: [pull, push]}}]\n"
    );
    let users = Users::parse(&text).unwrap();
    assert_eq!(
        users.users[0].permissions[0].actions,
        [Action::Pull, Action::Push]
    );
    assert_eq!(Users::parse(&users.to_yaml()).unwrap(), users);
    assert_eq!(password_sha256(&hash).unwrap()[..3], [0x01, 0x23, 0x45]);
}

#[test]
fn numeric_looking_names_and_hashes_survive_a_round_trip() {
    let users = Users {
        users: vec![User {
            name: "007".into(),
            password_sha256: vec!["1".repeat(64)],
            permissions: vec![],
        }],
    };
    assert_eq!(Users::parse(&users.to_yaml()).unwrap(), users);
}

#[test]
fn a_users_file_that_cannot_be_is_refused_without_repeating_secrets() {
    let user = |name: &str, hash: &str| format!("- {{name: '{name}', passwordSha256: ['{hash}']}}\n");
    let good = "a".repeat(64);
    for (text, part) in [
        (
            format!("users:\n{}", user("a", "hunter2")),
            "users[0].passwordSha256[0]",
        ),
        (
            format!("users:\n{}{}", user("a", &good), user("a", &good)),
            "users[1].name: \"a\" is there twice",
        ),
        (format!("users:\n{}", user("a:b", &good)), "no colon"),
        (
            "users:\n- {name: a, passwordSha256: []}\n".to_owned(),
            "hash-password",
        ),
        (
            "users:\n- {name: a, password: hunter2}\n".to_owned(),
            "unknown key \"password\"",
        ),
        (
            format!(
                "users:\n- {{name: a, passwordSha256: ['{good}'], permissions: [{{repositories: ['A/*'], actions: [pull]}}]}}"
            ),
            "no repository name",
        ),
        (
            format!(
                "users:\n- {{name: a, passwordSha256: ['{good}'], permissions: [{{repositories: ['**'], actions: [Pull]}}]}}"
            ),
            "write one of pull, push, delete",
        ),
    ] {
        let sentence = Users::parse(&text).unwrap_err().to_string();
        assert!(sentence.contains(part), "{text}: {sentence}");
        assert!(
            !sentence.contains("hunter2") && !sentence.contains(&good),
            "{sentence}"
        );
    }
}

#[test]
fn addresses_collide_only_when_both_cannot_be_bound() {
    let address = |text: &str| text.parse::<Address>().unwrap();
    assert!(address(":5000").collides_with(address("127.0.0.1:5000")));
    assert!(address("0.0.0.0:5000").collides_with(address("127.0.0.1:5000")));
    assert!(!address("127.0.0.2:5000").collides_with(address("127.0.0.1:5000")));
    assert!(!address(":0").collides_with(address(":0")));
    assert_eq!(address("[::1]:5000").to_string(), "[::1]:5000");
    assert_eq!(address("localhost:1").to_string(), "127.0.0.1:1");
}
