//! A port-forward of kubectl behind an HTTP proxy of one method (CONNECT): whatever host the client names ends at the
//! Service, so that the client speaks, and checks the certificate, under the registry's own name.

use std::process::Stdio;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;
use tokio::task::JoinHandle;

use crate::command::command;

/// Open until dropped.
#[derive(Debug)]
pub(super) struct Tunnel {
    port: u16,
    accepting: JoinHandle<()>,
    _forward: Child,
}

impl Tunnel {
    /// Forwards to port 443 of a Service.
    pub(super) async fn open(namespace: &str, service: &str) -> Result<Tunnel> {
        let target = format!("service/{service}");
        let mut forward = command(
            "kubectl",
            ["port-forward", "--namespace", namespace, &target, ":443"],
        )
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start kubectl port-forward")?;
        // "Forwarding from 127.0.0.1:41234 -> 5000"
        let mut lines = BufReader::new(forward.stdout.take().context("standard output is piped")?).lines();
        let line = lines
            .next_line()
            .await?
            .context("kubectl port-forward ended at once")?;
        let forwarded = line
            .split_whitespace()
            .find(|word| word.starts_with("127.0.0.1:"))
            .map(str::to_owned);
        let forwarded = forwarded.with_context(|| format!("kubectl port-forward says no port: {line}"))?;

        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let accepting = tokio::spawn(async move {
            // Keeps kubectl's output drained: it prints a line for every connection.
            let drained = async { while let Ok(Some(_)) = lines.next_line().await {} };
            let accepted = async {
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(relay(client, forwarded.clone()));
                }
            };
            tokio::join!(drained, accepted);
        });
        Ok(Tunnel {
            port,
            accepting,
            _forward: forward,
        })
    }

    pub(super) fn proxy(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Reads one CONNECT request and copies bytes both ways; a broken connection is the client's to report.
async fn relay(mut client: TcpStream, target: String) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(client.read_u8().await?);
    }
    let mut server = TcpStream::connect(target).await?;
    client
        .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        .await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
