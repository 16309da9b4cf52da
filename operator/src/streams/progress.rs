//! What counts as a watch that works again: events of a watch come in, the same events go out. Pure.
//!
//! A watch tells that it begins to list before it has asked for anything, and a back-off takes that for a success. So it
//! is told only together with what follows it, and a list that fails again and again is asked for less and less often.

use futures::{Stream, StreamExt as _, stream};
use kube::runtime::watcher::{Event, Result};

/// Passes `Init` on with the event after it, and not at all when that is an error.
pub(super) fn only_progress<K>(
    events: impl Stream<Item = Result<Event<K>>>,
) -> impl Stream<Item = Result<Event<K>>> {
    let mut has_begun = false;
    events.flat_map(move |event| {
        let begins = std::mem::take(&mut has_begun);
        stream::iter(match event {
            Ok(Event::Init) => {
                has_begun = true;
                [None, None]
            }
            Ok(event) => [begins.then_some(Ok(Event::Init)), Some(Ok(event))],
            Err(error) => [None, Some(Err(error))],
        })
        .filter_map(std::future::ready)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::runtime::watcher::Error;

    #[tokio::test]
    async fn a_list_that_fails_has_not_begun() {
        let failed = || Err(Error::NoResourceVersion);
        let events = [
            Ok(Event::Init),
            failed(),
            Ok(Event::Init),
            Ok(Event::InitApply(1)),
            Ok(Event::InitDone),
            Ok(Event::Apply(2)),
        ];
        let seen: Vec<String> = only_progress(stream::iter(events))
            .map(|event| event.map_or("failed".to_owned(), |event: Event<i32>| format!("{event:?}")))
            .collect()
            .await;
        assert_eq!(seen, ["failed", "Init", "InitApply(1)", "InitDone", "Apply(2)"]);
    }
}
