//! Looks for everything that a client was acknowledged, after a cut or beside collections. IO.

use std::net::SocketAddr;

use http::Method;
use portolan_oci::{Algorithm, Digest};

use crate::actor::{Actor, BYTES, TAGS};
use crate::documents::{Document, content};
use crate::ledger::Pending;
use crate::server::{Stopped, send};
use crate::upload::{finish, or_give_up};

impl Actor {
    /// A manifest with its children and blobs, every byte. False: it is not there, and need not be.
    pub(crate) async fn pull_whole(&mut self, target: SocketAddr, root: &Digest) -> Result<bool, Stopped> {
        let mut next = vec![root.clone()];
        while let Some(digest) = next.pop() {
            let answer = self.get(target, &format!("manifests/{digest}")).await?;
            if answer.status == 404 {
                assert!(
                    !self.ledger.is_promised(&digest),
                    "{}: {digest} is lost",
                    self.name
                );
                // what names it goes first
                let again = self.get(target, &format!("manifests/{root}")).await?;
                assert_eq!(again.status, 404, "{}: {root} without {digest}", self.name);
                return Ok(false);
            }
            assert_eq!(answer.digest(), Some(digest.clone()), "{answer:?}");
            let Some(document) = self.ledger.manifests.get(&digest).cloned() else {
                panic!("{}: {digest} was deleted", self.name);
            };
            for number in &document.blobs {
                let (bytes, blob) = content(*number);
                let answer = self.get(target, &format!("blobs/{blob}")).await?;
                if answer.status == 404 && !self.ledger.is_promised(&digest) {
                    // a collection may have come between the two requests, and then both are gone
                    let again = self.get(target, &format!("manifests/{digest}")).await?;
                    assert_eq!(again.status, 404, "{}: {digest} without {number}", self.name);
                    return Ok(false);
                }
                assert!(
                    answer.body == bytes,
                    "{}: {digest} has another blob {number}",
                    self.name
                );
            }
            next.extend(document.children);
            self.tally.verified += 1;
            self.tally.by_sha512 += u64::from(digest.algorithm() == Algorithm::Sha512);
        }
        Ok(true)
    }

    /// Looks for everything that was acknowledged. What was under way when the server was killed has happened or not.
    pub(crate) async fn verify(&mut self, target: SocketAddr) {
        self.verify_all(target).await.expect("the server is up");
    }

    async fn verify_all(&mut self, target: SocketAddr) -> Result<(), Stopped> {
        self.settle_pending(target).await?;
        for tag in (0..TAGS).map(|number| format!("t{number}")) {
            let answer = self.get(target, &format!("manifests/{tag}")).await?;
            let expected = self.ledger.tags.get(&tag);
            let found = answer.digest();
            assert_eq!(found.as_ref(), expected, "{} {tag}: {answer:?}", self.name);
        }
        for digest in self.ledger.manifests.keys().cloned().collect::<Vec<_>>() {
            if !self.pull_whole(target, &digest).await? {
                self.ledger.remove(&digest);
            }
        }
        self.verify_referrers(target).await?;
        self.resume(target).await
    }

    /// What was asked for and not acknowledged has happened or not.
    pub(crate) async fn settle_pending(&mut self, target: SocketAddr) -> Result<(), Stopped> {
        let Some(pending) = self.ledger.pending.clone() else {
            return Ok(());
        };
        let (tags, after) = match &pending {
            Pending::Put { tags, document } => (tags.clone(), Some(document.digest.clone())),
            Pending::DeleteTag(tag) => (vec![tag.clone()], None),
            Pending::DeleteManifest(digest) => {
                let named = self.ledger.tags.iter().filter(|(_, it)| *it == digest);
                (named.map(|(tag, _)| tag.clone()).collect(), None)
            }
        };
        if let Pending::Put { document, .. } = &pending {
            self.ledger
                .manifests
                .entry(document.digest.clone())
                .or_insert_with(|| document.clone());
        }
        for tag in tags {
            let answer = self.get(target, &format!("manifests/{tag}")).await?;
            let found = answer.digest();
            let before = self.ledger.tags.get(&tag).cloned();
            assert!(
                found == before || found == after,
                "{} {tag}: {answer:?}, {pending:?}",
                self.name
            );
            match (&found, &pending) {
                (Some(_), Pending::Put { document, .. }) if found == after => {
                    self.ledger.put(&[tag], document.clone());
                }
                (None, _) => self.ledger.untag(&tag),
                _ => {}
            }
        }
        if let Pending::DeleteManifest(digest) = &pending {
            let answer = self.get(target, &format!("manifests/{digest}")).await?;
            if answer.status == 404 {
                self.ledger.remove(digest);
            }
        }
        self.ledger.pending = None; // not before: the server may be killed while it is asked
        Ok(())
    }

    async fn verify_referrers(&mut self, target: SocketAddr) -> Result<(), Stopped> {
        let referrers: Vec<Document> = self
            .ledger
            .manifests
            .values()
            .filter(|it| it.subject.is_some())
            .cloned()
            .collect();
        for document in referrers {
            let subject = document.subject.unwrap();
            let answer = self.get(target, &format!("referrers/{subject}")).await?;
            let text = String::from_utf8(answer.body.to_vec()).unwrap();
            let is_listed = text.contains(document.digest.as_str());
            assert!(
                is_listed || !self.ledger.is_promised(&document.digest),
                "{}: {} is not listed under {subject}",
                self.name,
                document.digest
            );
        }
        Ok(())
    }

    /// An upload goes on where it was, also in another process.
    async fn resume(&mut self, target: SocketAddr) -> Result<(), Stopped> {
        let Some(session) = self.session.take() else {
            return Ok(());
        };
        let answer = send(target, Method::GET, &session.location, BYTES, "").await?;
        assert_eq!(answer.status, 204, "{answer:?}");
        let end: usize = answer
            .header("range")
            .rsplit('-')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(end + 1, session.offset, "{answer:?}");
        let (bytes, digest) = content(session.number);
        let rest = bytes.slice(session.offset..);
        let sent = finish(target, answer.header("location"), rest, &digest).await;
        match or_give_up(target, &session.location, sent).await {
            Ok(()) => self.tally.resumed += 1,
            Err(Stopped::Full) => self.tally.full += 1,
            Err(gone) => return Err(gone),
        }
        Ok(())
    }
}
