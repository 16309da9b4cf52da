//! How the bytes of a blob are sent: an upload and bytes come in, what became of it goes out; IO.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Method;
use portolan_oci::Digest;

use crate::actor::BYTES;
use crate::server::{Answer, Stopped, send, send_piece};

pub(crate) async fn send_in_halves(
    target: SocketAddr,
    location: &str,
    bytes: Bytes,
    digest: &Digest,
) -> Result<(), Stopped> {
    let half = bytes.len() / 2;
    let answer = send(target, Method::PATCH, location, BYTES, bytes.slice(..half)).await?;
    assert_eq!(answer.status, 202, "{answer:?}");
    finish(target, answer.header("location"), bytes.slice(half..), digest).await
}

/// In pieces that say where they belong, with nothing left for the end.
pub(crate) async fn send_in_pieces(
    target: SocketAddr,
    location: &str,
    bytes: Bytes,
    digest: &Digest,
) -> Result<(), Stopped> {
    let half = bytes.len() / 2;
    let answer = send_piece(target, location, 0, bytes.slice(..half)).await?;
    let answer = send_piece(target, answer.header("location"), half, bytes.slice(half..)).await?;
    finish(target, answer.header("location"), Bytes::new(), digest).await
}

/// Passes on what came of an upload. One that found the volume full is given up: what there is of it makes room.
pub(crate) async fn or_give_up<T>(
    target: SocketAddr,
    location: &str,
    sent: Result<T, Stopped>,
) -> Result<T, Stopped> {
    if matches!(sent, Err(Stopped::Full)) {
        let answer = send(target, Method::DELETE, location, BYTES, "").await?;
        assert!([204, 404].contains(&answer.status.as_u16()), "{answer:?}");
    }
    sent
}

pub(crate) async fn finish(
    target: SocketAddr,
    location: &str,
    rest: Bytes,
    digest: &Digest,
) -> Result<(), Stopped> {
    let separator = if location.contains('?') { '&' } else { '?' };
    let path = format!("{location}{separator}digest={digest}");
    created(&send(target, Method::PUT, &path, BYTES, rest).await?);
    Ok(())
}

pub(crate) fn created(answer: &Answer) {
    assert_eq!(answer.status, 201, "{answer:?}");
}
