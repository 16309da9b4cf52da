//! Byte ranges: `Range` of downloads and `Content-Range` of uploads in, offsets out. Pure.

use std::fmt;
use std::str::FromStr;

/// A part of some content; both ends are included, as in HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte; never below `first`.
    pub last: u64,
}

impl ByteRange {
    /// How many bytes it spans; at least one, so there is no `is_empty`.
    #[expect(clippy::len_without_is_empty, reason = "an inclusive range is never empty")]
    pub fn len(self) -> u64 {
        self.last - self.first + 1
    }
}

/// What a `Range` header asks of content of a known size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeRequest {
    /// Everything: the header is of another unit, cannot be read, or asks for more pieces than it is worth.
    Whole,
    /// These parts, in the order asked for, clipped to the size; never empty.
    Parts(Vec<ByteRange>),
    /// No part of the content: status 416.
    Unsatisfiable,
}

impl RangeRequest {
    /// More parts than this are answered as the whole content.
    pub const MAX_PARTS: usize = 64;

    /// Reads a `Range` value for content of `size` bytes. An inverted part (`500-0`) counts as unsatisfiable, not as
    /// unreadable: the conformance program of the specification wants 416 there.
    pub fn parse(header: &str, size: u64) -> Self {
        let Some((unit, list)) = header.split_once('=') else {
            return Self::Whole;
        };
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return Self::Whole;
        }
        let mut parts = Vec::new();
        let mut asked = 0_usize;
        for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            asked += 1;
            if asked > Self::MAX_PARTS {
                return Self::Whole;
            }
            match parse_part(item, size) {
                Part::Bytes(part) => parts.push(part),
                Part::Outside => {}
                Part::Unreadable => return Self::Whole,
            }
        }
        if asked == 0 {
            return Self::Whole;
        }
        if parts.is_empty() {
            return Self::Unsatisfiable;
        }
        let total: u64 = parts.iter().fold(0, |sum, part| sum.saturating_add(part.len()));
        if parts.len() > 1 && total > size {
            Self::Whole
        } else {
            Self::Parts(parts)
        }
    }
}

/// One member of the list of a `Range` header, against the size of the content.
enum Part {
    Bytes(ByteRange),
    Outside,
    Unreadable,
}

fn parse_part(item: &str, size: u64) -> Part {
    let Some((first, last)) = item.split_once('-') else {
        return Part::Unreadable;
    };
    let (first, last) = (first.trim(), last.trim());
    if first.is_empty() {
        return match parse_offset(last) {
            None => Part::Unreadable,
            Some(suffix) if suffix == 0 || size == 0 => Part::Outside,
            Some(suffix) => Part::Bytes(ByteRange {
                first: size.saturating_sub(suffix),
                last: size - 1,
            }),
        };
    }
    let last = if last.is_empty() {
        Some(u64::MAX)
    } else {
        parse_offset(last)
    };
    match (parse_offset(first), last) {
        (Some(first), Some(last)) if first >= size || last < first => Part::Outside,
        (Some(first), Some(last)) => Part::Bytes(ByteRange {
            first,
            last: last.min(size - 1),
        }),
        _ => Part::Unreadable,
    }
}

/// Digits only: `u64::from_str` would also take a plus sign. What is too large for the type is larger than any content.
fn parse_offset(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// The `Content-Range` of a PATCH or closing PUT: which bytes of the upload the body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// Offset of the body's first byte in the upload.
    pub first: u64,
    /// Offset of its last byte.
    pub last: u64,
}

/// A `Content-Range` that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a Content-Range of an upload: write <first byte>-<last byte>, for example 0-1023")]
pub struct ContentRangeError(String);

impl ContentRange {
    /// How long the body must be; at least one byte.
    #[expect(clippy::len_without_is_empty, reason = "an inclusive range is never empty")]
    pub fn len(self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

impl FromStr for ContentRange {
    type Err = ContentRangeError;

    /// The specification writes `0-1023`; `bytes 0-1023/2048` and `bytes=0-1023` of HTTP libraries are taken too.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ContentRangeError(text.chars().take(100).collect());
        let trimmed = text.trim();
        let range = trimmed
            .strip_prefix("bytes")
            .map_or(trimmed, |rest| rest.trim_start_matches([' ', '=']));
        let range = range.split('/').next().unwrap_or_default();
        let (first, last) = range.split_once('-').ok_or_else(error)?;
        let first = parse_offset(first.trim()).ok_or_else(error)?;
        let last = parse_offset(last.trim()).ok_or_else(error)?;
        if last < first {
            Err(error())
        } else {
            Ok(Self { first, last })
        }
    }
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(first: u64, last: u64) -> ByteRange {
        ByteRange { first, last }
    }

    /// P48.
    #[test]
    fn single_parts_are_clipped_to_the_size() {
        assert_eq!(
            RangeRequest::parse("bytes=0-3", 10),
            RangeRequest::Parts(vec![part(0, 3)])
        );
        assert_eq!(
            RangeRequest::parse("bytes=8-", 10),
            RangeRequest::Parts(vec![part(8, 9)])
        );
        assert_eq!(
            RangeRequest::parse("bytes=8-400", 10),
            RangeRequest::Parts(vec![part(8, 9)])
        );
        assert_eq!(
            RangeRequest::parse("bytes=-3", 10),
            RangeRequest::Parts(vec![part(7, 9)])
        );
        assert_eq!(
            RangeRequest::parse("bytes=-300", 10),
            RangeRequest::Parts(vec![part(0, 9)])
        );
    }

    /// P48.
    #[test]
    fn parts_without_a_byte_of_the_content_are_unsatisfiable() {
        for (header, size) in [
            ("bytes=10-", 10),
            ("bytes=500-0", 10),
            ("bytes=-0", 10),
            ("bytes=0-", 0),
            ("bytes=-1", 0),
        ] {
            assert_eq!(
                RangeRequest::parse(header, size),
                RangeRequest::Unsatisfiable,
                "{header} of {size}"
            );
        }
    }

    /// P48.
    #[test]
    fn what_cannot_be_read_means_the_whole_content() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "lines=0-1",
            "bytes=a-b",
            "bytes=1",
            "bytes=+1-2",
            "bytes=0-1,x",
        ] {
            assert_eq!(RangeRequest::parse(header, 10), RangeRequest::Whole, "{header}");
        }
    }

    #[test]
    fn several_parts_keep_their_order_and_lose_the_unsatisfiable() {
        let parts = RangeRequest::parse("bytes=6-7, 0-1,90-", 10);
        assert_eq!(parts, RangeRequest::Parts(vec![part(6, 7), part(0, 1)]));
    }

    /// P49.
    #[test]
    fn many_or_overlapping_parts_mean_the_whole_content() {
        let many = format!("bytes={}", vec!["0-0"; RangeRequest::MAX_PARTS + 1].join(","));
        assert_eq!(RangeRequest::parse(&many, 1000), RangeRequest::Whole);
        assert_eq!(RangeRequest::parse("bytes=0-,0-,0-", 10), RangeRequest::Whole);
    }

    /// P67.
    #[test]
    fn content_ranges_are_read_with_and_without_unit() {
        for text in ["5-9", " 5-9 ", "bytes 5-9/*", "bytes=5-9", "bytes 5-9/100"] {
            assert_eq!(text.parse(), Ok(ContentRange { first: 5, last: 9 }), "{text}");
        }
        for text in ["", "-", "9-5", "5-", "-5", "a-b", "5"] {
            assert!(text.parse::<ContentRange>().is_err(), "{text}");
        }
    }
}
