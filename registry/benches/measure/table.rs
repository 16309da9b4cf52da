//! What is printed: figures come in, lines that people read come out, with a bar for how much of the target is used.

use std::fmt::Write as _;
use std::time::Duration;

/// A number, and how it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Figure {
    Seconds(Duration),
    Milliseconds(Duration),
    Microseconds(Duration),
    Bytes(u64),
    Times(f64),
    /// There is none, and why.
    None(&'static str),
}

impl Figure {
    fn number(self) -> Option<f64> {
        match self {
            Self::Seconds(time) | Self::Milliseconds(time) | Self::Microseconds(time) => {
                Some(time.as_secs_f64())
            }
            Self::Bytes(bytes) => Some(bytes as f64),
            Self::Times(times) => Some(times),
            Self::None(_) => None,
        }
    }

    fn text(self) -> String {
        match self {
            Self::Seconds(time) => format!("{:.1} s", time.as_secs_f64()),
            Self::Milliseconds(time) => milliseconds(time),
            Self::Microseconds(time) => format!("{:.1} µs", time.as_secs_f64() * 1e6),
            Self::Bytes(bytes) => format!("{:.1} MB", bytes as f64 / 1e6),
            Self::Times(times) => format!("{times:.2} ×"),
            Self::None(why) => why.to_owned(),
        }
    }
}

/// One line.
pub(crate) struct Row {
    pub(crate) what: String,
    ours: String,
    theirs: String,
    /// Ours as a multiple of theirs.
    pub(crate) against: String,
    target: String,
    /// Of the target.
    pub(crate) used: Option<f64>,
}

pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
    notes: Vec<&'static str>,
}

/// So long is a bar that just reaches the target.
const BAR: usize = 20;
/// From an eighth of a cell to all of it.
const PARTS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

impl Table {
    pub(crate) fn new(title: String) -> Self {
        Self {
            title,
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, what: &str, ours: Figure, theirs: Option<Figure>) {
        let theirs = theirs.unwrap_or(Figure::None("-"));
        let against = match (ours.number(), theirs.number()) {
            (Some(ours), Some(theirs)) if theirs > 0.0 => Figure::Times(ours / theirs).text(),
            _ => String::new(),
        };
        self.rows.push(Row {
            what: what.to_owned(),
            ours: ours.text(),
            theirs: theirs.text(),
            against,
            target: String::new(),
            used: None,
        });
    }

    /// A line about the disk, once beside each program: what differs is not theirs.
    pub(crate) fn disk(&mut self, what: &str, beside_ours: Figure, beside_theirs: Option<Figure>) {
        self.row(what, beside_ours, beside_theirs);
        if let Some(row) = self.rows.last_mut() {
            row.against.clear();
        }
    }

    /// A line with a target, and how much of that is used, if that can be said.
    pub(crate) fn goal(
        &mut self,
        what: &str,
        ours: Figure,
        theirs: Option<Figure>,
        target: &str,
        used: impl Into<Option<f64>>,
    ) {
        self.row(what, ours, theirs);
        if let Some(row) = self.rows.last_mut() {
            target.clone_into(&mut row.target);
            row.used = used.into();
        }
    }

    /// A sentence below the lines.
    pub(crate) fn note(&mut self, sentence: &'static str) {
        self.notes.push(sentence);
    }

    pub(crate) fn print(&self) {
        println!("\n{}\n{}", self.title, "─".repeat(self.title.chars().count()));
        let width = |text: fn(&Row) -> &str, least: usize| {
            self.rows
                .iter()
                .map(|row| text(row).chars().count())
                .max()
                .unwrap_or(0)
                .max(least)
        };
        let (what, ours) = (width(|row| &row.what, 0), width(|row| &row.ours, 8));
        let (theirs, against) = (width(|row| &row.theirs, 10), width(|row| &row.against, 10));
        let target = width(|row| &row.target, 6);
        println!(
            "  {:what$}  {:>ours$}  {:>theirs$}  {:>against$}  {:>target$}  used of the target",
            "", "Portolan", "registry:2", "ours/its", "target"
        );
        for row in &self.rows {
            let used = row.used.map_or_else(String::new, bar);
            let line = format!(
                "  {:what$}  {:>ours$}  {:>theirs$}  {:>against$}  {:>target$}  {used}",
                row.what, row.ours, row.theirs, row.against, row.target
            );
            println!("{}", line.trim_end());
        }
        for note in &self.notes {
            println!("  {note}");
        }
    }
}

/// `▕██████▌             ▏ 0.33`; what is beyond the target goes over the edge.
fn bar(used: f64) -> String {
    let mut text = String::from("▕");
    let eighths = (0..BAR * 12)
        .take_while(|it| *it as f64 + 0.5 < used * (BAR * 8) as f64)
        .count();
    for cell in 0..BAR.max(eighths.div_ceil(8)) {
        if cell == BAR {
            text.push('▏');
        }
        text.push(match eighths.saturating_sub(cell * 8) {
            0 => ' ',
            part => PARTS[part.min(8) - 1],
        });
    }
    if eighths.div_ceil(8) <= BAR {
        text.push('▏');
    }
    let _ = write!(text, " {used:.2}"); // writing to a string does not fail
    text
}

/// `12,345`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn milliseconds(duration: Duration) -> String {
    let number = duration.as_secs_f64() * 1000.0;
    match number {
        ..1.0 => format!("{number:.3} ms"),
        ..100.0 => format!("{number:.2} ms"),
        _ => format!("{number:.0} ms"),
    }
}

pub(crate) fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64().max(1e-9)
}

pub(crate) fn per(duration: Duration, number: usize) -> Duration {
    duration / u32::try_from(number.max(1)).unwrap_or(u32::MAX)
}
