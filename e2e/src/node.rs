//! What a node's administrator does so that containerd pulls from a Registry: a `certs.d` entry that sends the
//! registry's name to its `ClusterIP` and trusts its CA.

use std::path::Path;

use anyhow::{Result, bail};

use crate::cluster::Place;
use crate::command::{command, output};
use crate::registry::{Login, Registry};
use crate::report::say;

/// Lets the throwaway node trust the registry as it is now.
pub async fn trust(registry: &Registry<'_>, login: &Login) -> Result<()> {
    let Place::Inside { .. } = &registry.scene.cluster.place else {
        bail!("the nodes of a cluster that is not ours cannot be told to trust a registry");
    };
    let file = registry.scene.directory()?.join("ca.crt");
    std::fs::write(&file, &login.certificate_authority)?;
    let server = server(registry, login).await?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/trust");
    let mut trust = command("bash", [script]);
    trust.arg(&login.endpoint).arg(&file).arg(server);
    output(trust).await.map(drop)
}

/// Tells the administrator of a cluster that is not ours what to do on each node.
pub async fn tell_administrator(registry: &Registry<'_>, login: &Login) -> Result<()> {
    let (host, namespace, name) = (&login.endpoint, &registry.scene.namespace, registry.name);
    let server = server(registry, login).await?;
    say("this cluster's nodes cannot be prepared from here; its administrator runs on each node:");
    say(format!("  mkdir -p /etc/containerd/certs.d/{host}"));
    say(format!(
        "  kubectl get configmap {name}-ca -n {namespace} -o 'jsonpath={{.data.ca\\.crt}}' > /etc/containerd/certs.d/{host}/ca.crt"
    ));
    say(format!(
        "  printf 'server = \"{server}\"\\nca = \"/etc/containerd/certs.d/{host}/ca.crt\"\\n' > /etc/containerd/certs.d/{host}/hosts.toml"
    ));
    Ok(())
}

/// Where a node, which resolves no names of the cluster, finds the registry: the Service's address and port.
async fn server(registry: &Registry<'_>, login: &Login) -> Result<String> {
    let port = login.endpoint.split_once(':').map_or("443", |(_, port)| port);
    Ok(format!("https://{}:{port}", registry.cluster_ip().await?))
}
