//! How contents differ, in a form that people read and that stays small.

use std::time::Duration;

use similar::TextDiff;

use crate::protocol::Change;

/// Contents beyond this many bytes are not compared line by line.
pub(crate) const MOST: u64 = 256 * 1024;
/// The longest diff, in lines and in bytes.
const LINES: usize = 200;
const BYTES: usize = 64 * 1024;

/// The change of a file's content. `secret` says why it must not be shown, if it must not.
pub(crate) fn content(from: Option<&[u8]>, to: &str, secret: Option<&str>) -> Change {
    let property = "content".to_owned();
    let size = |length: usize| {
        if length == 1 {
            "1 byte".to_owned()
        } else {
            format!("{length} bytes")
        }
    };
    if let Some(why) = secret {
        return Change {
            property,
            from: from.map(|_| format!("differs; not shown because {why}")),
            to: Some(format!("{}; not shown because {why}", size(to.len()))),
            diff: None,
        };
    }
    let old = match from {
        None => Some(""),
        Some(bytes) if bytes.len() as u64 >= MOST || to.len() as u64 >= MOST => None,
        Some(bytes) => std::str::from_utf8(bytes)
            .ok()
            .filter(|text| !text.contains('\0')),
    };
    let diff = old.filter(|_| !to.contains('\0')).map(|old| unified(old, to));
    let from = from.map(|bytes| match old {
        Some(_) => size(bytes.len()),
        None if bytes.len() as u64 >= MOST => "large content".to_owned(),
        None => "binary content".to_owned(),
    });
    Change {
        property,
        from,
        to: Some(size(to.len())),
        diff,
    }
}

fn unified(old: &str, new: &str) -> String {
    let diff = TextDiff::configure()
        .timeout(Duration::from_millis(500))
        .diff_lines(old, new);
    let mut shown = String::new();
    let mut lines = 0;
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        for line in hunk.to_string().split_inclusive('\n') {
            if lines == LINES || shown.len() + line.len() > BYTES {
                shown.push_str("… (shortened)\n");
                return shown;
            }
            lines += 1;
            shown.push_str(line);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_diff_shows_what_differs_and_its_surroundings() {
        let change = content(
            Some(b"1\n2\n3\n4\n5\n6\n7\n8\n9\n"),
            "1\n2\n3\n4\nfive\n6\n7\n8\n9\n",
            None,
        );
        let shown = change.diff.expect("is text");
        assert_eq!(shown, "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
    }

    #[test]
    fn long_diffs_and_long_lines_are_cut() {
        let shown = content(None, &"line\n".repeat(5000), None).diff.expect("is text");
        assert!(shown.lines().count() == 201 && shown.ends_with("… (shortened)\n"));
        let shown = content(Some(b"a"), &"x".repeat(200_000), None)
            .diff
            .expect("is text");
        assert!(shown.len() < 70_000);
    }

    #[test]
    fn binary_and_large_contents_are_only_named() {
        assert_eq!(
            content(Some(b"\xff\0"), "x", None).from.as_deref(),
            Some("binary content")
        );
        assert_eq!(content(Some(&vec![b'x'; 300_000]), "x", None).diff, None);
    }

    proptest! {
        #[test]
        fn nothing_panics(old in proptest::collection::vec(any::<u8>(), 0..200), new in "\\PC*") {
            let _ = content(Some(&old), &new, None);
        }
    }
}
