//! Properties of all parsers: whatever is accepted spells itself again, is safe in a path, and fits the written grammar.

use portolan_oci::{
    Algorithm, ByteRange, ContentRange, Digest, Hasher, RangeRequest, Reference, RepositoryName, Tag,
    UploadId,
};
use proptest::prelude::*;

/// Texts near the grammars: their alphabets and what attackers add to them.
fn near() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        proptest::sample::select("ab0AZ._-/+:=%\\ \0é".chars().collect::<Vec<_>>()),
        0..12,
    )
    .prop_map(|chars| chars.into_iter().collect())
}

fn component() -> impl Strategy<Value = String> {
    let word = "[a-z0-9]{1,4}";
    let separator = proptest::sample::select(vec![".", "_", "__", "-", "--", "-----"]);
    (word, proptest::collection::vec((separator, word), 0..3)).prop_map(|(first, rest)| {
        rest.into_iter()
            .fold(first, |text, (separator, word)| text + separator + &word)
    })
}

proptest! {
    #[test]
    fn every_name_of_the_grammar_is_accepted(components in proptest::collection::vec(component(), 1..5)) {
        let text = components.join("/");
        let name: RepositoryName = text.parse().unwrap();
        prop_assert_eq!(name.as_str(), text);
    }

    /// P7.
    #[test]
    fn accepted_names_are_relative_paths_without_private_components(text in near()) {
        if let Ok(name) = text.parse::<RepositoryName>() {
            prop_assert_eq!(name.as_str(), &text);
            for part in text.split('/') {
                prop_assert!(!part.is_empty() && !part.starts_with(['.', '_', '-']));
                prop_assert!(part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b)));
            }
        }
    }

    #[test]
    fn accepted_tags_and_references_spell_themselves_and_are_file_names(text in near()) {
        if let Ok(tag) = text.parse::<Tag>() {
            prop_assert_eq!(tag.as_str(), &text);
            prop_assert!(!text.contains('/') && text != "." && text != "..");
            prop_assert_eq!(text.parse::<Reference>(), Ok(Reference::Tag(tag)));
        }
    }

    #[test]
    fn accepted_digests_are_an_algorithm_and_its_hexadecimal_digits(text in "(sha256|sha384|sha512|md5|sha256\\+b64)?:?[0-9a-fA-F]{60,130}") {
        if let Ok(digest) = text.parse::<Digest>() {
            prop_assert_eq!(digest.as_str(), &text);
            prop_assert_eq!(digest.hex().len(), digest.algorithm().hex_len());
            prop_assert_eq!(Digest::from_parts(digest.algorithm(), digest.hex()), Ok(digest));
        }
    }

    #[test]
    fn digest_does_not_depend_on_how_the_bytes_arrive(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0..300_usize) {
        for algorithm in Algorithm::ALL {
            let (before, after) = bytes.split_at(cut.min(bytes.len()));
            let mut hasher = Hasher::new(algorithm);
            hasher.update(before);
            let saved = hasher.clone();
            hasher.update(b"taken back");
            let mut hasher = saved;
            hasher.update(after);
            let digest = hasher.finish();
            prop_assert_eq!(&digest, &Digest::of(algorithm, &bytes));
            prop_assert_eq!(digest.as_str().parse(), Ok(digest.clone()));
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in any::<String>()) {
        let _ = text.parse::<Digest>();
        let _ = text.parse::<RepositoryName>();
        let _ = text.parse::<Reference>();
        let _ = text.parse::<UploadId>();
        let _ = text.parse::<ContentRange>();
        let _ = RangeRequest::parse(&text, 100);
    }

    #[test]
    fn upload_identifiers_spell_themselves(bytes in any::<[u8; 16]>()) {
        let id = UploadId::from_random(bytes);
        prop_assert_eq!(id.as_str().parse(), Ok(id.clone()));
    }

    #[test]
    fn parts_lie_within_the_content_and_are_no_more_than_it(
        parts in proptest::collection::vec((proptest::option::of(0..40_u64), proptest::option::of(0..40_u64)), 1..6),
        size in 0..30_u64,
    ) {
        let spell = |bound: Option<u64>| bound.map_or_else(String::new, |bound| bound.to_string());
        let list: Vec<String> = parts.iter().map(|(first, last)| format!("{}-{}", spell(*first), spell(*last))).collect();
        match RangeRequest::parse(&format!("bytes={}", list.join(",")), size) {
            RangeRequest::Parts(parts) => {
                prop_assert!(!parts.is_empty());
                prop_assert!(parts.iter().all(|part| part.first <= part.last && part.last < size));
                prop_assert!(parts.iter().map(|part| part.len()).sum::<u64>() <= size);
            }
            RangeRequest::Unsatisfiable => {
                let holds_a_byte = |&(first, last): &(Option<u64>, Option<u64>)| match (first, last) {
                    (Some(first), last) => first < size && last.is_none_or(|last| last >= first),
                    (None, suffix) => suffix.is_some_and(|suffix| suffix > 0) && size > 0,
                };
                prop_assert!(!parts.iter().any(holds_a_byte));
            }
            RangeRequest::Whole => {}
        }
    }

    #[test]
    fn a_single_part_is_answered_as_written(first in 0..50_u64, length in 1..50_u64, size in 100..200_u64) {
        let header = format!("bytes={first}-{}", first + length - 1);
        let part = ByteRange { first, last: first + length - 1 };
        prop_assert_eq!(RangeRequest::parse(&header, size), RangeRequest::Parts(vec![part]));
        prop_assert_eq!(part.len(), length);
    }
}
