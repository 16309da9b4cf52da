//! The only place that forms paths on the volume. Validated values come in, paths go out; pure.
//!
//! ```text
//! <root>/docker/registry/v2/                                   shared with registry:2, same bytes, same meaning
//!   blobs/<alg>/<2 hex>/<hex>/data                             content of blobs and manifests
//!   repositories/<name>/_layers/<alg>/<hex>/link               the repository may read this blob
//!   repositories/<name>/_manifests/revisions/<alg>/<hex>/link  the repository has this manifest
//!   repositories/<name>/_manifests/tags/<tag>/current/link     what the tag names
//!   repositories/<name>/_manifests/tags/<tag>/index/           what it has named, as long as only registry:2 has moved it
//! <root>/portolan/v1/                                          private; registry:2 never looks here
//!   FORMAT  LOCK                                               what this tree needs of a reader; flock target
//!   admin.sock                                                 where the running registry listens for administration
//!   reserve/bytes  reserve/<n>                                 room for deletes on a full volume
//!   tmp/<n>                                                    small files before their rename; emptied at start
//!   tmp/<n>.deleting                                           a delete of a manifest with tags that has begun
//!   uploads/<uuid>.json  uploads/<uuid>.data                   upload sessions: whose, and the bytes so far
//!   scrub.json                                                 where scrubbing is
//!   quarantine/<alg>-<hex>                                     damaged content that was moved aside
//!   referrers/<name>/_/<alg>/<hex>/<alg>-<hex>                 subject / referrer: the referrer's descriptor
//!   untagged/<name>/_/<alg>/<hex>                              since when nothing names this manifest
//!   absent/<name>/_/<alg>/<hex>                                what this manifest names and was not there when it came
//!   absent/<name>/_came/<alg>/<hex>                            this has come, where something was absent; it is empty
//!   trash/<id>/record.json  trash/<id>/tag/                    a tag that may come back: what it named
//!   inuse.json                                                 manifests to keep in every repository
//!   hold/<name>                                                while it is there, nothing is collected
//! ```
//!
//! No component of a repository name begins with `_`, so `_layers`, `_manifests`, `_` and `_came` end the name.

use std::path::{Path, PathBuf};

use portolan_oci::{Digest, RepositoryName, Tag, UploadId};

#[derive(Debug, Clone)]
pub(super) struct Keys {
    root: PathBuf,
    shared: PathBuf,
    own: PathBuf,
}

impl Keys {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            shared: root.join("docker/registry/v2"),
            own: root.join("portolan/v1"),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn shared(&self) -> &Path {
        &self.shared
    }

    pub(super) fn own(&self) -> &Path {
        &self.own
    }

    pub(super) fn format(&self) -> PathBuf {
        self.own.join("FORMAT")
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.own.join("LOCK")
    }

    /// What version 0.1 has left when it closed, and trusts when it opens.
    pub(super) fn clean(&self) -> PathBuf {
        self.own.join("CLEAN")
    }

    /// Where scrubbing is.
    pub(super) fn scrub(&self) -> PathBuf {
        self.own.join("scrub.json")
    }

    pub(super) fn quarantine(&self) -> PathBuf {
        self.own.join("quarantine")
    }

    /// Where damaged content was moved first.
    pub(super) fn quarantined(&self, content: &Digest) -> PathBuf {
        let name = format!("{}-{}", content.algorithm(), content.hex());
        self.quarantine().join(name)
    }

    /// All subjects of a repository.
    pub(super) fn referrers_of(&self, repository: &RepositoryName) -> PathBuf {
        let mut path = self.own.join("referrers");
        path.push(repository.as_str());
        path.push("_");
        path
    }

    pub(super) fn admin_socket(&self) -> PathBuf {
        self.own.join("admin.sock")
    }

    /// Files that only take up room.
    pub(super) fn reserve(&self) -> PathBuf {
        self.own.join("reserve")
    }

    pub(super) fn temporary(&self) -> PathBuf {
        self.own.join("tmp")
    }

    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        let mut path = self.shared.join("blobs");
        path.push(digest.algorithm().as_str());
        path.push(&digest.hex()[..2]);
        path.push(digest.hex());
        path.push("data");
        path
    }

    pub(super) fn repositories(&self) -> PathBuf {
        self.shared.join("repositories")
    }

    pub(super) fn repository(&self, repository: &RepositoryName) -> PathBuf {
        self.repositories().join(repository.as_str())
    }

    pub(super) fn layers(&self, repository: &RepositoryName) -> PathBuf {
        self.repository(repository).join("_layers")
    }

    pub(super) fn layer_link(&self, repository: &RepositoryName, digest: &Digest) -> PathBuf {
        link_under(self.layers(repository), digest)
    }

    pub(super) fn manifests(&self, repository: &RepositoryName) -> PathBuf {
        self.repository(repository).join("_manifests")
    }

    pub(super) fn revisions(&self, repository: &RepositoryName) -> PathBuf {
        self.manifests(repository).join("revisions")
    }

    pub(super) fn revision_link(&self, repository: &RepositoryName, digest: &Digest) -> PathBuf {
        link_under(self.revisions(repository), digest)
    }

    pub(super) fn tags(&self, repository: &RepositoryName) -> PathBuf {
        self.manifests(repository).join("tags")
    }

    pub(super) fn tag(&self, repository: &RepositoryName, tag: &Tag) -> PathBuf {
        self.tags(repository).join(tag.as_str())
    }

    pub(super) fn tag_link(&self, repository: &RepositoryName, tag: &Tag) -> PathBuf {
        self.tag(repository, tag).join("current/link")
    }

    pub(super) fn tag_history(&self, repository: &RepositoryName, tag: &Tag) -> PathBuf {
        self.tag(repository, tag).join("index")
    }

    pub(super) fn uploads(&self) -> PathBuf {
        self.own.join("uploads")
    }

    pub(super) fn upload_record(&self, id: &UploadId) -> PathBuf {
        self.uploads().join(format!("{id}.json"))
    }

    pub(super) fn upload_data(&self, id: &UploadId) -> PathBuf {
        self.uploads().join(format!("{id}.data"))
    }

    pub(super) fn referrers(&self, repository: &RepositoryName, subject: &Digest) -> PathBuf {
        self.about("referrers", repository, subject)
    }

    pub(super) fn untagged(&self, repository: &RepositoryName, manifest: &Digest) -> PathBuf {
        self.about("untagged", repository, manifest)
    }

    pub(super) fn holds(&self) -> PathBuf {
        self.own.join("hold")
    }

    pub(super) fn hold(&self, name: &str) -> PathBuf {
        self.holds().join(name)
    }

    /// What the private tree says about one manifest of a repository.
    fn about(&self, what: &str, repository: &RepositoryName, manifest: &Digest) -> PathBuf {
        let mut path = self.own.join(what);
        path.push(repository.as_str());
        path.push("_");
        path.push(manifest.algorithm().as_str());
        path.push(manifest.hex());
        path
    }

    pub(super) fn absent(&self, repository: &RepositoryName, manifest: &Digest) -> PathBuf {
        self.about("absent", repository, manifest)
    }

    pub(super) fn referrer(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        referrer: &Digest,
    ) -> PathBuf {
        let name = format!("{}-{}", referrer.algorithm(), referrer.hex());
        self.referrers(repository, subject).join(name)
    }

    /// All such records of a repository.
    pub(super) fn untagged_in(&self, repository: &RepositoryName) -> PathBuf {
        self.own.join("untagged").join(repository.as_str()).join("_")
    }

    pub(super) fn absent_in(&self, repository: &RepositoryName) -> PathBuf {
        self.own.join("absent").join(repository.as_str()).join("_")
    }

    /// All marks of what has come to a repository.
    pub(super) fn came_in(&self, repository: &RepositoryName) -> PathBuf {
        self.own.join("absent").join(repository.as_str()).join("_came")
    }

    pub(super) fn came(&self, repository: &RepositoryName, digest: &Digest) -> PathBuf {
        let mut path = self.came_in(repository);
        path.push(digest.algorithm().as_str());
        path.push(digest.hex());
        path
    }

    pub(super) fn trash(&self) -> PathBuf {
        self.own.join("trash")
    }

    pub(super) fn in_use(&self) -> PathBuf {
        self.own.join("inuse.json")
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.shared.join("blobs")
    }
}

fn link_under(mut directory: PathBuf, digest: &Digest) -> PathBuf {
    directory.push(digest.algorithm().as_str());
    directory.push(digest.hex());
    directory.push("link");
    directory
}

/// The digest in a referrer's file name.
pub(super) fn digest_of_referrer(name: &str) -> Option<Digest> {
    let (algorithm, hex) = name.split_once('-')?;
    Digest::from_parts(algorithm.parse().ok()?, hex).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_oci::Algorithm;

    #[test]
    fn paths_are_those_of_the_distribution_layout() {
        let keys = Keys::new(Path::new("/v"));
        let digest = Digest::of(Algorithm::Sha256, b"");
        let hex = digest.hex();
        let repository: RepositoryName = "team/app".parse().unwrap();
        let base = "/v/docker/registry/v2/repositories/team/app";
        assert_eq!(
            keys.blob(&digest),
            Path::new(&format!("/v/docker/registry/v2/blobs/sha256/e3/{hex}/data"))
        );
        assert_eq!(
            keys.layer_link(&repository, &digest),
            Path::new(&format!("{base}/_layers/sha256/{hex}/link"))
        );
        assert_eq!(
            keys.revision_link(&repository, &digest),
            Path::new(&format!("{base}/_manifests/revisions/sha256/{hex}/link"))
        );
        let tag = "v1".parse().unwrap();
        assert_eq!(
            keys.tag_link(&repository, &tag),
            Path::new(&format!("{base}/_manifests/tags/v1/current/link"))
        );
    }

    #[test]
    fn referrer_file_names_give_their_digest_back() {
        let keys = Keys::new(Path::new("/v"));
        let (subject, referrer) = (
            Digest::of(Algorithm::Sha256, b"s"),
            Digest::of(Algorithm::Sha512, b"r"),
        );
        let path = keys.referrer(&"a".parse().unwrap(), &subject, &referrer);
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(digest_of_referrer(name), Some(referrer));
        assert_eq!(digest_of_referrer("sha256-../x"), None);
    }
}
