//! Lines that must be seen even when the test passes: figures, and which cluster is used. (The test runner shows what
//! tests print only when they fail; this goes past it to standard error.)

use std::io::Write as _;

/// Prints one line, whatever the runner captures.
pub fn say(line: impl std::fmt::Display) {
    // A closed standard error is no reason to fail a test.
    let _ = writeln!(std::io::stderr(), "e2e: {line}");
}
