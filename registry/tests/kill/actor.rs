//! A client with a repository of its own: random requests go out, what was acknowledged is kept in mind. IO.

use std::net::SocketAddr;
use std::ops::Add;

use http::Method;
use portolan_oci::Algorithm;
use rand::Rng as _;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

use crate::documents::{CONTENTS, Document, content};
use crate::ledger::{Ledger, Pending};
use crate::server::{Answer, Stopped, send, send_piece};
use crate::upload::{created, finish, or_give_up, send_in_halves, send_in_pieces};

pub(crate) const BYTES: &str = "application/octet-stream";
pub(crate) const TAGS: u32 = 6;

/// How much was done.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) pushed: u64,
    pub(crate) deleted: u64,
    pub(crate) mounted: u64,
    /// Mounts that did not say from where.
    pub(crate) found: u64,
    pub(crate) resumed: u64,
    /// Pushes that had to send again what a collection had taken meanwhile.
    pub(crate) retried: u64,
    pub(crate) verified: u64,
    /// Those of them whose digest is a sha512.
    pub(crate) by_sha512: u64,
    /// Pushes that found the volume full.
    pub(crate) full: u64,
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            pushed: self.pushed + other.pushed,
            deleted: self.deleted + other.deleted,
            mounted: self.mounted + other.mounted,
            found: self.found + other.found,
            resumed: self.resumed + other.resumed,
            retried: self.retried + other.retried,
            verified: self.verified + other.verified,
            by_sha512: self.by_sha512 + other.by_sha512,
            full: self.full + other.full,
        }
    }
}

/// An upload that was begun.
pub(crate) struct Session {
    pub(crate) location: String,
    pub(crate) number: u32,
    /// What was acknowledged of it.
    pub(crate) offset: usize,
}

pub(crate) struct Actor {
    pub(crate) name: String,
    random: StdRng,
    pub(crate) ledger: Ledger,
    pub(crate) session: Option<Session>,
    pub(crate) tally: Tally,
}

impl Actor {
    pub(crate) fn new(number: usize, random: StdRng) -> Self {
        Self {
            name: format!("team/actor-{number}"),
            random,
            ledger: Ledger::default(),
            session: None,
            tally: Tally::default(),
        }
    }

    /// Does one thing after the other.
    pub(crate) async fn work(mut self, target: SocketAddr, stop: CancellationToken) -> Self {
        while !stop.is_cancelled() && self.step(target).await.is_ok() {}
        self
    }

    /// Who finds the volume full looks what has come of it, and makes room.
    async fn step(&mut self, target: SocketAddr) -> Result<(), Stopped> {
        match self.do_something(target).await {
            Err(Stopped::Full) => {
                self.tally.full += 1;
                self.settle_pending(target).await?;
                self.delete_tag(target).await
            }
            other => other,
        }
    }

    async fn do_something(&mut self, target: SocketAddr) -> Result<(), Stopped> {
        match self.random.random_range(0..12) {
            0..4 => self.push_image(target).await,
            4 | 5 => self.push_index(target).await,
            6 => self.push_signature(target).await,
            7 => self.delete_tag(target).await,
            8 => self.delete_manifest(target).await,
            9 => self.upload_in_pieces(target).await,
            10 => self.delete_blob(target).await,
            _ => self.pull(target).await,
        }
    }

    fn path(&self, rest: &str) -> String {
        format!("/v2/{}/{rest}", self.name)
    }

    fn tag(&mut self) -> String {
        format!("t{}", self.random.random_range(0..TAGS))
    }

    fn contents(&mut self) -> Vec<u32> {
        let count = self.random.random_range(1..4);
        (0..count)
            .map(|_| self.random.random_range(0..CONTENTS))
            .collect()
    }

    async fn push_image(&mut self, target: SocketAddr) -> Result<(), Stopped> {
        let (document, tags) = (
            Document::image(&self.contents(), None),
            vec![self.tag(), self.tag()],
        );
        self.push(target, document, tags).await
    }

    async fn push_index(&mut self, target: SocketAddr) -> Result<(), Stopped> {
        let children = [
            Document::image(&self.contents(), None),
            Document::image(&self.contents(), None),
        ];
        let (document, tags) = (Document::index(&children.each_ref()), vec![self.tag()]);
        for _ in 0..20 {
            for child in children.clone() {
                self.push(target, child, Vec::new()).await?;
            }
            if self.put(target, &document, &tags).await? {
                return Ok(());
            }
            self.tally.retried += 1; // a child had no tag yet, and was collected
        }
        Ok(())
    }

    async fn push_signature(&mut self, target: SocketAddr) -> Result<(), Stopped> {
        let tagged = self.ledger.tags.values().next();
        let Some(subject) = tagged
            .and_then(|digest| self.ledger.manifests.get(digest))
            .cloned()
        else {
            return Ok(());
        };
        let document = Document::image(&self.contents(), Some(&subject));
        self.push(target, document, Vec::new()).await
    }

    /// Pushes blobs and manifest, as often as a collection comes between.
    async fn push(
        &mut self,
        target: SocketAddr,
        document: Document,
        tags: Vec<String>,
    ) -> Result<(), Stopped> {
        for attempt in 0..20 {
            for number in document.blobs.clone() {
                self.push_blob(target, number, attempt > 0).await?;
            }
            if self.put(target, &document, &tags).await? {
                return Ok(());
            }
            self.tally.retried += 1;
        }
        Ok(())
    }

    /// False: something that the manifest needs has gone meanwhile.
    async fn put(
        &mut self,
        target: SocketAddr,
        document: &Document,
        tags: &[String],
    ) -> Result<bool, Stopped> {
        let is_sha256 = document.digest.algorithm() == Algorithm::Sha256;
        let path = if let ([tag], true) = (tags, is_sha256) {
            self.path(&format!("manifests/{tag}"))
        } else {
            let query: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();
            self.path(&format!("manifests/{}?{}", document.digest, query.join("&")))
        };
        self.ledger.pending = Some(Pending::Put {
            tags: tags.to_vec(),
            document: document.clone(),
        });
        let answer = send(
            target,
            Method::PUT,
            &path,
            document.media_type,
            document.text.clone(),
        )
        .await?;
        self.ledger.pending = None;
        match answer.status.as_u16() {
            201 => {
                self.ledger.put(tags, document.clone());
                self.tally.pushed += 1;
                Ok(true)
            }
            400 | 404 => Ok(false),
            _ => panic!("{answer:?}"),
        }
    }

    /// In one of the forms that clients use.
    async fn push_blob(&mut self, target: SocketAddr, number: u32, is_sure: bool) -> Result<(), Stopped> {
        let (bytes, digest) = content(number);
        let blob = self.path(&format!("blobs/{digest}"));
        let form = if is_sure {
            1
        } else {
            self.random.random_range(0..5)
        };
        match form {
            0 => {
                let head = send(target, Method::HEAD, &blob, BYTES, "").await?;
                if head.status == 200 {
                    return Ok(());
                }
            }
            1 => {
                let path = self.path(&format!("blobs/uploads/?digest={digest}"));
                created(&send(target, Method::POST, &path, BYTES, bytes).await?);
                return Ok(());
            }
            2 => {
                let other = self.random.random_range(0..2 * crate::ACTORS);
                let is_named = other < crate::ACTORS;
                let from = if is_named {
                    format!("&from=team/actor-{other}")
                } else {
                    String::new()
                };
                let path = self.path(&format!("blobs/uploads/?mount={digest}{from}"));
                let answer = send(target, Method::POST, &path, BYTES, "").await?;
                if answer.status == 201 {
                    *if is_named {
                        &mut self.tally.mounted
                    } else {
                        &mut self.tally.found
                    } += 1;
                    return Ok(());
                }
                let location = answer.header("location");
                let sent = finish(target, location, bytes, &digest).await;
                return or_give_up(target, location, sent).await;
            }
            _ => {}
        }
        let begun = send(target, Method::POST, &self.path("blobs/uploads/"), BYTES, "").await?;
        let location = begun.header("location").to_owned();
        let sent = if form == 3 {
            send_in_pieces(target, &location, bytes, &digest).await
        } else {
            send_in_halves(target, &location, bytes, &digest).await
        };
        or_give_up(target, &location, sent).await
    }

    /// Sends a piece of an upload that goes on after the next cut.
    async fn upload_in_pieces(&mut self, target: SocketAddr) -> Result<(), Stopped> {
        if self.session.is_some() {
            return Ok(());
        }
        let number = self.random.random_range(0..CONTENTS);
        let begun = send(target, Method::POST, &self.path("blobs/uploads/"), BYTES, "").await?;
        let piece = content(number).0.slice(..50);
        let location = begun.header("location");
        let sent = send_piece(target, location, 0, piece).await;
        let answer = or_give_up(target, location, sent).await?;
        self.session = Some(Session {
            location: answer.header("location").to_owned(),
            number,
            offset: 50,
        });
        Ok(())
    }

    async fn delete_tag(&mut self, target: SocketAddr) -> Result<(), Stopped> {
        let tag = self.tag();
        self.ledger.pending = Some(Pending::DeleteTag(tag.clone()));
        let path = self.path(&format!("manifests/{tag}"));
        let answer = send(target, Method::DELETE, &path, BYTES, "").await?;
        self.ledger.pending = None;
        let expected = if self.ledger.tags.contains_key(&tag) {
            202
        } else {
            404
        };
        assert_eq!(answer.status.as_u16(), expected, "{tag}: {answer:?}");
        self.ledger.untag(&tag);
        self.tally.deleted += 1;
        Ok(())
    }

    async fn delete_manifest(&mut self, target: SocketAddr) -> Result<(), Stopped> {
        let count = self.ledger.manifests.len();
        if count < 8 {
            return Ok(());
        }
        let chosen = self.random.random_range(0..count);
        let digest = self.ledger.manifests.keys().nth(chosen).unwrap().clone();
        self.ledger.pending = Some(Pending::DeleteManifest(digest.clone()));
        let path = self.path(&format!("manifests/{digest}"));
        let answer = send(target, Method::DELETE, &path, BYTES, "").await?;
        self.ledger.pending = None;
        match answer.status.as_u16() {
            202 => {
                self.ledger.remove(&digest);
                self.tally.deleted += 1;
            }
            404 => {
                assert!(!self.ledger.is_promised(&digest), "{digest} is lost");
                self.ledger.remove(&digest);
            }
            405 => assert!(self.ledger.is_child(&digest), "{answer:?}"),
            _ => panic!("{answer:?}"),
        }
        Ok(())
    }

    /// Of a blob that may be needed: then it is refused.
    async fn delete_blob(&mut self, target: SocketAddr) -> Result<(), Stopped> {
        let (_, digest) = content(self.random.random_range(0..CONTENTS));
        let path = self.path(&format!("blobs/{digest}"));
        let answer = send(target, Method::DELETE, &path, BYTES, "").await?;
        assert!([202, 404, 405].contains(&answer.status.as_u16()), "{answer:?}");
        Ok(())
    }

    async fn pull(&mut self, target: SocketAddr) -> Result<(), Stopped> {
        let tag = self.tag();
        let answer = self.get(target, &format!("manifests/{tag}")).await?;
        match self.ledger.tags.get(&tag).cloned() {
            None => assert_eq!(answer.status, 404, "{tag}: {answer:?}"),
            Some(digest) => {
                assert_eq!(answer.digest(), Some(digest.clone()), "{tag}: {answer:?}");
                self.pull_whole(target, &digest).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn get(&self, target: SocketAddr, rest: &str) -> Result<Answer, Stopped> {
        send(target, Method::GET, &self.path(rest), BYTES, "").await
    }
}
