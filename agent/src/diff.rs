//! How contents differ, in a form that people read and that stays small.

use std::time::{Duration, Instant};

use similar::DiffTag;
use similar::algorithms::myers::diff_deadline_raw;
use similar::algorithms::{Capture, Replace};

use crate::protocol::Change;

/// Contents beyond this many bytes are not compared line by line.
pub(crate) const MOST: u64 = 256 * 1024;
/// The longest diff, in lines and in bytes.
const LINES: usize = 200;
const BYTES: usize = 64 * 1024;
/// Lines around a difference.
const CONTEXT: usize = 3;
/// How long lines are matched before the rest is shown as replaced.
const PATIENCE: Duration = Duration::from_millis(300);

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

/// Only the algorithm of `similar`: the rest of it would be a tenth of the agent.
fn unified(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (split(old), split(new));
    let mut hook = Replace::new(Capture::new());
    let deadline = Instant::now() + PATIENCE;
    let Ok(()) = diff_deadline_raw(
        &mut hook,
        &old[..],
        0..old.len(),
        &new[..],
        0..new.len(),
        Some(deadline),
    );
    let mut shown = Shown::default();
    for hunk in hook.into_inner().into_grouped_ops(CONTEXT) {
        let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else {
            continue;
        };
        shown.add(
            "@@ ",
            &format!(
                "-{} +{} @@",
                range(first.old_range().start, last.old_range().end),
                range(first.new_range().start, last.new_range().end),
            ),
        );
        for op in &hunk {
            let tag = op.tag();
            let (is_old, is_new) = (old.get(op.old_range()), new.get(op.new_range()));
            if tag == DiffTag::Equal {
                shown.lines(" ", is_old);
            } else {
                shown.lines("-", is_old);
                shown.lines("+", is_new);
            }
        }
    }
    shown.text
}

/// Lines with their ends: a last line without one differs from one with it.
fn split(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// "3,7": from line 3, 7 lines, as a unified diff writes it.
fn range(start: usize, end: usize) -> String {
    match end.saturating_sub(start) {
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        length => format!("{},{length}", start + 1),
    }
}

/// A diff as it grows; it ends with a note when it gets too long.
#[derive(Default)]
struct Shown {
    text: String,
    lines: usize,
    full: bool,
}

impl Shown {
    fn lines(&mut self, sign: &str, lines: Option<&[&str]>) {
        for line in lines.unwrap_or_default() {
            match line.strip_suffix('\n') {
                Some(line) => self.add(sign, line),
                None => {
                    self.add(sign, line);
                    self.add("\\ ", "no line end at the end of the file");
                }
            }
        }
    }

    fn add(&mut self, sign: &str, line: &str) {
        if self.full {
            return;
        }
        if self.lines == LINES || self.text.len() + line.len() > BYTES {
            self.full = true;
            self.text.push_str("… (shortened)\n");
            return;
        }
        self.lines += 1;
        for part in [sign, line, "\n"] {
            self.text.push_str(part);
        }
    }
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
    fn a_missing_last_line_end_is_shown() {
        let shown = content(Some(b"a\n"), "a", None).diff.expect("is text");
        assert_eq!(
            shown,
            "@@ -1 +1 @@\n-a\n+a\n\\ no line end at the end of the file\n"
        );
        assert_eq!(
            content(None, "a\n", None).diff.as_deref(),
            Some("@@ -0,0 +1 @@\n+a\n")
        );
    }

    #[test]
    fn contents_with_nothing_in_common_take_no_longer_than_they_may() {
        let begun = Instant::now();
        let lines = |sign: &str| {
            (0..30_000)
                .map(|number| format!("{sign}{number}\n"))
                .collect::<String>()
        };
        let _ = content(Some(lines("a").as_bytes()), &lines("b"), None);
        assert!(begun.elapsed() < Duration::from_secs(5));
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
