//! Pushes that take most of the stripes.

use super::locks::stripe;
use super::withdrawal::Delayed;
use super::*;

/// More than a push may name without waiting for its turn.
const MANY: usize = 150;

/// Documents whose digests are on the first stripe.
fn on_the_first_stripe() -> impl Iterator<Item = Vec<u8>> {
    let seeds = (0_u32..).map(|seed| seed.to_be_bytes().to_vec());
    seeds.filter(|bytes| stripe(&digest_of(bytes)) == 0)
}

#[tokio::test]
async fn push_does_not_wait_for_a_large_one_that_only_waits_itself() {
    let mut delayed = Delayed::new().await;
    let (name, store) = (repository("a"), delayed.store.clone());
    let blob = on_the_first_stripe().next().unwrap();
    let named: Vec<Digest> = (0..MANY).map(|n| digest_of(&n.to_le_bytes())).collect();
    let named: Vec<&Digest> = named.iter().filter(|digest| stripe(digest) != 0).collect();
    // Neither is on the first stripe itself; the second waits for the first, which it names, and holds that stripe.
    let first = index(&named);
    let digest = digest_of(first.to_string().as_bytes());
    let more: Vec<Digest> = on_the_first_stripe()
        .skip(1)
        .take(MANY)
        .map(|it| digest_of(&it))
        .collect();
    let second = index(&more.iter().chain([&digest]).collect::<Vec<_>>());
    assert!(stripe(&digest) > 0 && stripe(&digest_of(second.to_string().as_bytes())) > 0);

    let link = delayed.volume.keys().revision_link(&name, &digest);
    let push = |tag: &'static str, document: Value| {
        let (store, name) = (store.clone(), name.clone());
        async move { put(&store, &name, tag, &document).await }
    };
    let (first, second) = (push("first", first), push("second", second));
    let beside = async { try_push_blob(&store, &name, &blob).await.unwrap() };
    let (first, second) = delayed
        .beside_both(link.parent().unwrap(), first, second, beside)
        .await;
    first.and(second).unwrap();
}
