//! How often each thing is done, and on how much where nobody can choose that: a number for each part. Pure.

use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Repeats {
    pub(crate) pushes: usize,
    /// Pushes that are not counted: the first ones make directories that stay, those for the first two digits of a digest.
    pub(crate) first_pushes: usize,
    pub(crate) starts: usize,
    /// In the short list: a hundred pages of them.
    pub(crate) few_tags: usize,
    pub(crate) pages: usize,
    /// registry:2 2.8 knows no pages: it answers with all tags, in no order.
    pub(crate) pages_of_theirs: usize,
    /// How long pulls are measured without a collection.
    pub(crate) quiet: Duration,
}

impl Repeats {
    /// Enough for medians, and for the p99 of pushes and pulls.
    pub(crate) const MANY: Self = Self {
        pushes: 400,
        first_pushes: 400,
        starts: 15,
        few_tags: 1_000,
        pages: 300,
        pages_of_theirs: 5,
        quiet: Duration::from_secs(10),
    };

    /// So few that they only show that the benchmark works.
    pub(crate) const FEW: Self = Self {
        pushes: 3,
        first_pushes: 1,
        starts: 1,
        few_tags: 100,
        pages: 3,
        pages_of_theirs: 1,
        quiet: Duration::from_millis(100),
    };
}
