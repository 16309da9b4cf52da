//! One manifest under several tags.

use std::sync::atomic::AtomicUsize;

use super::disk::{Act, Effect, Seam};
use super::*;

/// Has no room for further small files once some were made.
struct FullAfter(AtomicUsize);

impl Seam for FullAfter {
    fn take(&self, effect: &Effect<'_>, act: Act<'_>) -> std::io::Result<()> {
        let is_small = |path: &Path| path.parent().is_some_and(|it| it.ends_with("portolan/v1/tmp"));
        if let Effect::CreateFile { path } = effect
            && is_small(path)
            && self
                .0
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                .is_err()
        {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        act()
    }
}

/// P102, P104.
#[tokio::test]
async fn several_tags_move_together_or_not_at_all_when_the_volume_is_full() {
    let volume = Volume::new();
    let (name, tags) = (repository("a"), ["v1", "v2", "v3", "v4", "v5"].map(tag));
    let store = volume.open().await;
    let old = push_image(&store, &name, "old", "old").await;
    let new = push_image(&store, &name, "new", "new").await;
    let push = async |store: &Store, digest: &Digest| {
        let reference = Reference::Digest(digest.clone());
        let bytes = store.manifest_read(&name, &reference).await.unwrap().bytes;
        store.manifest_put(&name, &reference, &tags, None, bytes).await
    };
    push(&store, &old).await.unwrap();
    store.close().await;
    let mut refused = 0;
    loop {
        let seam = Box::new(FullAfter(AtomicUsize::new(refused + 1))); // the probe at start
        let store = Store::open_through(volume.options(), seam).await.unwrap();
        let pushed = push(&store, &new).await;
        let named = match pushed {
            Ok(_) => &new,
            Err(ManifestError::Fault(Fault::Full { .. })) => &old,
            Err(error) => panic!("{error}"),
        };
        for tag in &tags {
            let found = store.manifest_read(&name, &Reference::Tag(tag.clone())).await;
            assert_eq!(
                found.unwrap().digest,
                *named,
                "{tag} with room for {refused} files"
            );
        }
        let left = std::fs::read_dir(volume.keys().temporary()).unwrap().count();
        assert_eq!(left, 1, "only the probe stays");
        store.close().await;
        if named == &new {
            break;
        }
        refused += 1;
    }
    assert!(refused > 5, "{refused}");
}
