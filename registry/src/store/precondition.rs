//! What must be so for a change to be made: what a tag names now comes in, yes or no goes out. Pure.

use portolan_oci::Digest;

/// Two clients that both read a tag, change what it names and write it again lose nothing if each says what it has read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Precondition {
    /// It names one of these.
    pub is: Option<Named>,
    /// It names none of these.
    pub is_not: Option<Named>,
}

/// What a tag may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// Whatever it is: the tag is there.
    Anything,
    OneOf(Vec<Digest>),
}

impl Precondition {
    pub(super) fn is_met(&self, current: Option<&Digest>) -> bool {
        self.is.as_ref().is_none_or(|named| named.holds(current))
            && !self.is_not.as_ref().is_some_and(|named| named.holds(current))
    }

    /// Whether anything is asked at all.
    pub(super) fn is_some(&self) -> bool {
        *self != Self::default()
    }
}

impl Named {
    fn holds(&self, current: Option<&Digest>) -> bool {
        match (self, current) {
            (_, None) => false,
            (Self::Anything, Some(_)) => true,
            (Self::OneOf(digests), Some(current)) => digests.contains(current),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_oci::Algorithm;

    #[test]
    fn a_precondition_is_met_by_what_it_names_and_not_by_what_it_excludes() {
        let [old, new] = ["old", "new"].map(|text| Digest::of(Algorithm::Sha256, text.as_bytes()));
        let is = |named| Precondition {
            is: Some(named),
            is_not: None,
        };
        let is_not = |named| Precondition {
            is: None,
            is_not: Some(named),
        };
        let old_only = Named::OneOf(vec![old.clone()]);
        for (precondition, nothing, by_old, by_new) in [
            (Precondition::default(), true, true, true),
            (is(Named::Anything), false, true, true),
            (is(old_only.clone()), false, true, false),
            (is(Named::OneOf(vec![])), false, false, false),
            (is_not(Named::Anything), true, false, false),
            (is_not(old_only), true, false, true),
        ] {
            assert_eq!(precondition.is_met(None), nothing, "{precondition:?}");
            assert_eq!(precondition.is_met(Some(&old)), by_old, "{precondition:?}");
            assert_eq!(precondition.is_met(Some(&new)), by_new, "{precondition:?}");
        }
    }
}
