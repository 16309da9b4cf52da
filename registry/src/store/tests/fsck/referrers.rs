//! What names a subject is listed under it, by its file or by a fallback tag, or it is found.

use super::*;

impl Content {
    /// As registry:2 leaves a signature.
    fn unlist(&self) {
        fs::remove_file(self.keys().referrer(&self.name, &self.image, &self.signature)).unwrap();
    }

    async fn listed(&self) -> Vec<Digest> {
        let store = self.volume.open().await;
        let page = store.referrers(&self.name, &self.image, &[], None, 1 << 20).await;
        store.close().await;
        let descriptors = page.unwrap().descriptors.into_iter();
        descriptors.map(|descriptor| descriptor.digest).collect()
    }
}

#[tokio::test]
async fn referrer_that_is_not_listed_is_found_and_listed_by_a_repair() {
    let content = Content::new().await;
    content.unlist();
    assert_eq!(content.listed().await, []);
    let report = checked(&content.volume, false);
    assert_eq!(kinds(&report), [FindingKind::ReferrerUnlisted]);
    assert_eq!(report.leftovers, Leftovers::default());
    let problem = &report.findings[0].problem;
    let (signature, subject) = (content.signature.as_str(), content.image.as_str());
    for part in ["\"team/app\"", signature, subject, "`fsck --repair` lists it"] {
        assert!(problem.contains(part), "no {part} in: {problem}");
    }
    let report = repaired(&content.volume, |_| None).await;
    assert_eq!((report.changes.len(), report.findings), (1, vec![]));
    assert_eq!(content.listed().await, std::slice::from_ref(&content.signature));
    assert_eq!(checked(&content.volume, true).findings, []);
}

#[tokio::test]
async fn referrer_that_a_fallback_tag_lists_is_no_finding_while_the_tag_lists_it() {
    let content = Content::new().await;
    content.unlist();
    let fallback = Tag::referrers_fallback(&content.image);
    for (entry, is_listed) in [(&content.signature, true), (&content.index, false)] {
        let store = content.volume.open().await;
        put(&store, &content.name, fallback.as_str(), &index(&[entry]))
            .await
            .unwrap();
        store.close().await;
        assert_eq!(content.listed().await.len(), usize::from(is_listed));
        let report = checked(&content.volume, false);
        let found = [FindingKind::ReferrerUnlisted];
        assert_eq!(kinds(&report), found[usize::from(is_listed)..]);
        assert_eq!(report.leftovers.fallback_referrers, u64::from(is_listed));
    }
    repaired(&content.volume, |_| None).await;
    assert_eq!(content.listed().await, std::slice::from_ref(&content.signature));
    assert_eq!(checked(&content.volume, false).findings, []);
}
