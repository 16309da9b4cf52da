//! The command line of portolan-operator: text and environment come in, a struct goes out. Nothing is decided here.

use std::ffi::OsString;

use clap::{ArgAction, Parser, Subcommand};
use portolan_config::Address;

use crate::telemetry::{self, LogFormat};

/// The Kubernetes operator of Portolan: turns Registry objects into running container registries.
#[derive(Clone, Debug, Parser)]
#[command(version, after_help = EXAMPLE)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLE: &str = "\
Example, against the cluster of the current kubeconfig:
  portolan-operator run --registry-image localhost/portolan-registry:0.1.0 --watch-namespaces team-a,team-b

Exit status: 0 stopped cleanly, 1 cannot start, 2 wrong command line, 3 the CRDs are not installed,
4 leadership lost, 5 a watch got stuck.";

/// The verbs.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Watch Registries and keep what belongs to them as it should be, until told to stop.
    #[command(after_help = EXAMPLE)]
    Run(Box<RunArgs>),
}

/// Flags of `run`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct RunArgs {
    /// Image of the registry program for every Registry that names none in spec.pod.image
    #[arg(long, env = "PORTOLAN_REGISTRY_IMAGE", value_name = "IMAGE", value_parser = image)]
    pub registry_image: String,

    /// How to reach the Kubernetes API; the user's own kubeconfig or the Pod's service account when absent
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<OsString>,

    /// Namespaces to look at, comma-separated; all when absent
    #[arg(
        long,
        env = "PORTOLAN_WATCH_NAMESPACES",
        value_name = "NAMESPACES",
        value_delimiter = ',',
        num_args = 0..,
        value_parser = namespace_or_nothing
    )]
    pub watch_namespaces: Vec<String>,

    /// Domain that the cluster's DNS serves
    #[arg(
        long,
        env = "PORTOLAN_CLUSTER_DOMAIN",
        value_name = "DOMAIN",
        default_value = "cluster.local",
        value_parser = domain
    )]
    pub cluster_domain: String,

    /// Where /livez, /readyz and /metrics listen
    #[arg(
        long,
        env = "PORTOLAN_HTTP_ADDRESS",
        value_name = "ADDRESS",
        default_value = ":8080"
    )]
    pub http_address: Address,

    /// Whether only the holder of Lease portolan-operator-leader works
    #[arg(long, env = "PORTOLAN_LEADER_ELECTION", value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub leader_election: bool,

    /// Namespace of the Lease: the Pod's own, which the Deployment sets; that of the kubeconfig when absent
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", value_parser = namespace)]
    pub leader_election_namespace: Option<String>,

    /// Registries that are worked on at the same time, per watched scope
    #[arg(
        long,
        env = "PORTOLAN_CONCURRENCY",
        value_name = "N",
        default_value_t = 16,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub concurrency: u16,

    /// How log lines look
    #[arg(
        long,
        env = "PORTOLAN_LOG_FORMAT",
        value_name = "FORMAT",
        value_enum,
        default_value = "json"
    )]
    pub log_format: LogFormat,

    /// What is logged, for example info or info,kube=debug; the default leaves out what the client says of requests
    #[arg(
        long,
        env = "PORTOLAN_LOG_FILTER",
        value_name = "FILTER",
        default_value = "info,kube_client=off",
        value_parser = telemetry::filter
    )]
    pub log_filter: String,

    /// Name of our own Pod, set by the Deployment; it names us in the Lease and in events
    #[arg(
        long,
        env = "POD_NAME",
        value_name = "NAME",
        default_value = "portolan-operator"
    )]
    pub pod_name: String,
}

impl RunArgs {
    /// The namespaces to look at, sorted, each once; none means all.
    pub fn namespaces(&self) -> Vec<String> {
        let named = self.watch_namespaces.iter().cloned();
        let mut namespaces: Vec<String> = named.filter(|name| !name.is_empty()).collect();
        namespaces.sort();
        namespaces.dedup();
        namespaces
    }
}

/// What no node could pull is left to the nodes; this is what nobody can mean.
fn image(text: &str) -> Result<String, String> {
    let image = text.trim();
    let is_image = image.starts_with(|first: char| first.is_ascii_alphanumeric())
        && !image.contains("://")
        && image.chars().all(|char| char.is_ascii_graphic());
    is_image.then(|| image.to_owned()).ok_or_else(|| {
        "write an image without a scheme, such as registry.example.com/portolan-registry:0.1.0".to_owned()
    })
}

fn domain(text: &str) -> Result<String, String> {
    let domain = text.trim();
    let is_domain = domain.len() <= 253 && domain.split('.').all(is_label);
    is_domain
        .then(|| domain.to_owned())
        .ok_or_else(|| "write a domain such as cluster.local, without a dot at either end".to_owned())
}

/// A list may have an empty place.
fn namespace_or_nothing(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Ok(String::new()),
        name => namespace(name),
    }
}

fn namespace(text: &str) -> Result<String, String> {
    let name = text.trim();
    is_label(name).then(|| name.to_owned()).ok_or_else(|| {
        format!("no namespace can be called {name:?}; write at most 63 lower-case letters, digits and '-'")
    })
}

fn is_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(plain)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn run(flags: &[&str]) -> Result<RunArgs, clap::Error> {
        let words = ["portolan-operator", "run", "--registry-image", "registry:1"]
            .iter()
            .chain(flags);
        Args::try_parse_from(words).map(|args| match args.command {
            Command::Run(run) => *run,
        })
    }

    #[test]
    fn command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_flag_has_a_variable_and_the_help_names_it() {
        let mut command = Args::command();
        let run = command.find_subcommand_mut("run").unwrap();
        let help = run.render_long_help().to_string();
        let flags: Vec<_> = run
            .get_arguments()
            .filter(|flag| flag.get_id() != "help")
            .collect();
        assert!(flags.len() > 8);
        for flag in flags {
            let variable = flag
                .get_env()
                .unwrap_or_else(|| panic!("{} has no variable", flag.get_id()));
            assert!(
                help.contains(&format!("[env: {}", variable.to_str().unwrap())),
                "{}",
                flag.get_id()
            );
        }
    }

    #[test]
    fn namespaces_are_a_list_each_once() {
        assert_eq!(
            run(&["--watch-namespaces", "b,a,,b"]).unwrap().namespaces(),
            ["a", "b"]
        );
        assert!(run(&["--watch-namespaces", ""]).unwrap().namespaces().is_empty());
        assert!(run(&[]).unwrap().namespaces().is_empty());
    }

    #[test]
    fn unbounded_concurrency_and_empty_image_are_refused() {
        assert!(run(&["--concurrency", "0"]).is_err());
        assert!(run(&["--cluster-domain", ""]).is_err());
    }

    #[test]
    fn names_that_no_namespace_has_are_refused() {
        for name in ["Team_A", "-a", "a-", "a.b", &"a".repeat(64)] {
            assert!(run(&[&format!("--watch-namespaces=b,{name}")]).is_err(), "{name}");
            assert!(
                run(&[&format!("--leader-election-namespace={name}")]).is_err(),
                "{name}"
            );
        }
        assert_eq!(
            run(&["--watch-namespaces", " team-a , b"]).unwrap().namespaces(),
            ["b", "team-a"]
        );
    }

    #[test]
    fn addresses_are_spelled_as_the_registrys() {
        for address in [":8080", "127.0.0.1:0", "[::1]:8080"] {
            let run = run(&["--http-address", address]).unwrap();
            assert_eq!(run.http_address.to_string(), address);
        }
        assert!(run(&["--http-address", "8080"]).is_err());
    }

    #[test]
    fn example_of_the_help_is_a_valid_command_line() {
        let line = EXAMPLE.lines().nth(1).unwrap();
        Args::try_parse_from(line.split_whitespace()).unwrap();
    }
}
