//! Finding a blob wherever it may be read: a digest comes in, a repository goes out; blocking IO.

use std::cell::Cell;

use portolan_oci::{Digest, RepositoryName};

use super::Inner;
use super::repositories::Place;

/// So many names are looked at. Whoever has more repositories uploads a blob again that one of the last has.
const MOST_NAMES: usize = 5_000;

impl Inner {
    /// A repository that may be read and has a blob. It is better not to find one than to keep others waiting or to fail:
    /// the client uploads the blob then.
    pub(super) fn search(
        &self,
        digest: &Digest,
        may_read: &dyn Fn(&RepositoryName) -> bool,
    ) -> Option<(RepositoryName, Digest)> {
        let _turn = self.turns.search()?;
        let (mut found, mut passed_over, left) = (None, None, Cell::new(MOST_NAMES));
        let wanted = |place: Place<'_>| {
            left.set(left.get().saturating_sub(1));
            left.get() > 0 && !matches!(place, Place::Repository(name) if !may_read(name))
        };
        let walked = self.walk_wanted(&wanted, &mut |name| {
            match self.linked_blob(&name, digest) {
                Ok(content) => found = content.map(|content| (name, content)),
                Err(fault) => passed_over = Some(fault),
            }
            Ok(found.is_none())
        });
        if let Some(fault) = walked.err().or(passed_over) {
            tracing::warn!(error = %fault, "a blob to mount was not searched for everywhere");
        }
        found
    }
}
