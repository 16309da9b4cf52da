//! Waiting for something to become true: a question that is asked again and again, within a deadline that fails the test.

use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(40);
const PAUSE: Duration = Duration::from_millis(100);

/// Asks until there is an answer.
pub(crate) async fn until<T>(what: &str, mut question: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = question().await {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "after {LIMIT:?} it is still not so that {what}"
        );
        tokio::time::sleep(PAUSE).await;
    }
}
