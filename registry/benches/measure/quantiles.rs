//! Durations come in, medians and percentiles come out. Pure: a sorted list is enough for some thousand of them.

use std::time::Duration;

pub(crate) struct Quantiles(Vec<Duration>);

impl Quantiles {
    pub(crate) fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self(durations)
    }

    /// The one that so many of a thousand do not exceed.
    pub(crate) fn per_mille(&self, rank: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0.get(last * rank / 1000).copied().unwrap_or_default()
    }

    pub(crate) fn median(&self) -> Duration {
        self.per_mille(500)
    }

    pub(crate) fn p99(&self) -> Duration {
        self.per_mille(990)
    }
}
