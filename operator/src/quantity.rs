//! Sizes as Kubernetes writes them. In: text such as `20Gi` or `1500m`. Out: a number that can be compared. Pure.

/// A quantity in thousandths, so that `1500m` and `1.5` are the same; `None` for text that is no quantity.
pub fn parse(text: &str) -> Option<i128> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let suffix_at = unsigned
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(suffix_at);
    let factor = factor_in_thousandths(suffix)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.len() > 12 || whole.len() > 18 {
        return None;
    }
    let mut scaled: i128 = format!("{whole}{fraction}").parse().ok()?;
    scaled = scaled.checked_mul(factor)?;
    let divisor = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    // Kubernetes rounds up what it cannot hold.
    let value = scaled.div_euclid(divisor) + i128::from(scaled.rem_euclid(divisor) != 0);
    Some(if negative { -value } else { value })
}

/// Whether both are quantities of the same value: the API server writes `1024Mi` back as `1Gi`.
pub fn are_equal(left: &str, right: &str) -> bool {
    left == right || parse(left).is_some_and(|value| parse(right) == Some(value))
}

fn factor_in_thousandths(suffix: &str) -> Option<i128> {
    let binary = |power: u32| 1024_i128.checked_pow(power).map(|factor| factor * 1000);
    let decimal = |power: u32| 10_i128.checked_pow(power).map(|factor| factor * 1000);
    match suffix {
        "m" => Some(1),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            decimal(
                exponent
                    .strip_prefix('+')
                    .unwrap_or(exponent)
                    .parse()
                    .ok()
                    .filter(|power| *power <= 18)?,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_size_are_equal() {
        for (left, right) in [
            ("1Gi", "1024Mi"),
            ("1.5", "1500m"),
            ("2k", "2000"),
            ("1e3", "1k"),
            ("0.5Gi", "512Mi"),
        ] {
            assert!(are_equal(left, right), "{left} {right}");
        }
        assert!(!are_equal("1G", "1Gi"));
    }

    #[test]
    fn text_that_is_no_quantity_is_not_parsed() {
        for text in ["", "Gi", "1GB", "1 Gi", "--1", ".", "1e", "1e99"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn sizes_keep_their_order_whatever_their_unit() {
        assert!(parse("900Mi") < parse("1Gi"));
        assert!(parse("1Gi") < parse("2000M"));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".{0,30}") {
            let _ = parse(&text);
        }

        #[test]
        fn whole_numbers_keep_their_order(left in 0_u32.., right in 0_u32..) {
            let (a, b) = (parse(&left.to_string()).unwrap(), parse(&right.to_string()).unwrap());
            prop_assert_eq!(a.cmp(&b), left.cmp(&right));
        }
    }
}
