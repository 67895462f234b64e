//! Which of two versions of a Debian package is newer: deb-version(7).

use std::cmp::Ordering;

/// Compares two versions as dpkg does.
pub(super) fn compare(one: &str, other: &str) -> Ordering {
    let (one, other) = (parts(one), parts(other));
    one.0
        .cmp(&other.0)
        .then_with(|| part(one.1, other.1))
        .then_with(|| part(one.2, other.2))
}

/// Epoch, upstream version, revision.
fn parts(version: &str) -> (u64, &str, &str) {
    let (epoch, rest) = match version.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
        None => (0, version),
    };
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

/// In turn: what is no digit, in an order of its own, and what is, as a number.
fn part(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    while !one.is_empty() || !other.is_empty() {
        let words = (
            split(&mut one, |byte| !byte.is_ascii_digit()),
            split(&mut other, |byte| !byte.is_ascii_digit()),
        );
        let length = words.0.len().max(words.1.len());
        let weights = |word: &[u8]| -> Vec<i32> { (0..length).map(|at| weight(word.get(at))).collect() };
        let numbers = (
            split(&mut one, |byte| byte.is_ascii_digit()),
            split(&mut other, |byte| byte.is_ascii_digit()),
        );
        let order = weights(words.0)
            .cmp(&weights(words.1))
            .then_with(|| number(numbers.0, numbers.1));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// Takes what fits off the front.
fn split<'a>(text: &mut &'a [u8], fits: fn(&u8) -> bool) -> &'a [u8] {
    let end = text.iter().position(|byte| !fits(byte)).unwrap_or(text.len());
    let (front, rest) = text.split_at(end);
    *text = rest;
    front
}

/// A tilde is before the end, the end before letters, letters before everything else.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

/// Numbers of any length.
fn number(one: &[u8], other: &[u8]) -> Ordering {
    let bare = |digits: &[u8]| -> Vec<u8> {
        digits
            .iter()
            .copied()
            .skip_while(|digit| *digit == b'0')
            .collect()
    };
    let (one, other) = (bare(one), bare(other));
    one.len().cmp(&other.len()).then_with(|| one.cmp(&other))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_are_ordered_as_dpkg_orders_them() {
        for (lesser, greater) in [
            ("1.0", "1.1"),
            ("1.9", "1.10"),
            ("1.0~rc1", "1.0"),
            ("1.0~~", "1.0~"),
            ("1.0", "1.0a"),
            ("1.0a", "1.0+b"),
            ("2.0", "1:1.0"),
            ("3.0.15-1~deb12u1", "3.0.17-1~deb12u2"),
            ("3.0.17-1~deb12u2", "3.0.17-1"),
            ("9.2p1-2+deb12u3", "9.2p1-2+deb12u10"),
            ("6.1.0-9-amd64", "6.1.0-28-amd64"),
            ("1.0", "1.0-1"),
            ("99999999999999999999998", "99999999999999999999999"),
        ] {
            assert_eq!(compare(lesser, greater), Ordering::Less, "{lesser} {greater}");
            assert_eq!(compare(greater, lesser), Ordering::Greater, "{greater} {lesser}");
        }
        assert_eq!(compare("1.01", "1.1"), Ordering::Equal);
        assert_eq!(compare("0:1.0", "1.0"), Ordering::Equal);
    }

    proptest! {
        #[test]
        fn the_order_is_an_order(one in "[0-9a-z~+:.-]{0,9}", two in "[0-9a-z~+:.-]{0,9}", three in "[0-9a-z~+:.-]{0,9}") {
            prop_assert_eq!(compare(&one, &one), Ordering::Equal);
            prop_assert_eq!(compare(&one, &two), compare(&two, &one).reverse());
            if compare(&one, &two).is_le() && compare(&two, &three).is_le() {
                prop_assert!(compare(&one, &three).is_le());
            }
        }
    }
}
