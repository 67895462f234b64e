//! Takes secrets out of everything that leaves the agent.

use crate::protocol::{Change, HandlerReport, Refusal, ResourceReport};

const MASK: &str = "•••";

/// Shorter values are no secrets, and masking them would garble every sentence.
const SHORTEST: usize = 3;

/// Knows the secrets of a desired state, in the forms in which programs repeat them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Masker {
    /// Longest first, so that a secret that contains another one goes as a whole.
    forms: Vec<String>,
    /// As they were given.
    secrets: Vec<String>,
}

impl Masker {
    pub(crate) fn new(secrets: &[String]) -> Masker {
        let mut forms = Vec::new();
        for secret in secrets {
            add_forms(secret, &mut forms);
            // Programs print line by line, and a diff puts a sign before each line.
            let mut lines = secret.lines();
            if let (Some(first), Some(second)) = (lines.next(), lines.next()) {
                for line in [first, second].into_iter().chain(lines) {
                    if line.trim().len() >= 8 && !line.starts_with("-----") {
                        add_forms(line.trim(), &mut forms);
                    }
                }
            }
        }
        forms.retain(|form| form.len() >= SHORTEST);
        forms.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        forms.dedup();
        let secrets = secrets
            .iter()
            .filter(|secret| secret.len() >= SHORTEST)
            .cloned()
            .collect();
        Masker { forms, secrets }
    }

    /// Whether `text` holds a secret as it was given.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.forms.iter().any(|form| text.contains(form))
    }

    /// A secret of at least `length` bytes that `text` contains: short ones are words that stand elsewhere by right.
    pub(crate) fn long_secret_in(&self, text: &str, length: usize) -> bool {
        self.secrets
            .iter()
            .any(|secret| secret.len() >= length && text.contains(secret))
    }

    pub(crate) fn text(&self, text: &mut String) {
        for form in &self.forms {
            if text.contains(form) {
                *text = text.replace(form, MASK);
            }
        }
    }

    pub(crate) fn masked(&self, mut text: String) -> String {
        self.text(&mut text);
        text
    }

    pub(crate) fn refusal(&self, mut refusal: Refusal) -> Refusal {
        self.text(&mut refusal.message);
        refusal
    }

    pub(crate) fn resource(&self, mut report: ResourceReport) -> ResourceReport {
        self.text(&mut report.subject);
        for Change {
            property,
            from,
            to,
            diff,
        } in &mut report.changes
        {
            self.text(property);
            for text in [from, to, diff].into_iter().flatten() {
                self.text(text);
            }
        }
        report
    }

    pub(crate) fn handler(&self, mut report: HandlerReport) -> HandlerReport {
        self.text(&mut report.what);
        report
    }
}

/// A secret as it is, and as JSON, PHP, SQL, shell, URLs and HTML write it.
fn add_forms(secret: &str, forms: &mut Vec<String>) {
    forms.push(secret.to_owned());
    if let Ok(json) = serde_json::to_string(secret) {
        let inner = json.trim_start_matches('"').trim_end_matches('"');
        forms.push(inner.to_owned());
        forms.push(inner.replace('/', "\\/"));
    }
    forms.push(secret.replace('\\', "\\\\").replace('\'', "\\'"));
    forms.push(secret.replace('\'', "''"));
    forms.push(secret.replace('\'', "'\\''"));
    forms.push(secret.replace('\'', "'\"'\"'"));
    forms.push(
        secret
            .bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect(),
    );
    forms.push(
        secret
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#039;"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn masked(secrets: &[&str], text: &str) -> String {
        let secrets: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        Masker::new(&secrets).masked(text.to_owned())
    }

    #[test]
    fn secrets_go_in_every_form() {
        let secret = "it's \"a\\b\" & c/d";
        for text in [
            secret.to_owned(),
            serde_json::to_string(secret).expect("is text"),
            "'it\\'s \"a\\\\b\" & c/d'".to_owned(),
            "'it''s \"a\\b\" & c/d'".to_owned(),
            "'it'\\''s \"a\\b\" & c/d'".to_owned(),
            "?p=it%27s%20%22a%5Cb%22%20%26%20c%2Fd".to_owned(),
        ] {
            let masked = masked(&[secret], &text);
            assert!(
                masked.contains(MASK) && !masked.contains("c/d") && !masked.contains("c%2Fd"),
                "{masked}"
            );
        }
    }

    #[test]
    fn the_longer_of_two_secrets_goes_first() {
        assert_eq!(masked(&["abc", "abcdef"], "abcdef abc"), "••• •••");
    }

    #[test]
    fn each_line_of_a_key_is_masked() {
        let key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEFAA\n-----END KEY-----\n";
        assert_eq!(masked(&[key], "+kqhkiG9w0BAQEFAA"), "+•••");
        assert_eq!(masked(&[key], "-----BEGIN KEY-----"), "-----BEGIN KEY-----");
    }

    #[test]
    fn empty_and_tiny_secrets_garble_nothing() {
        assert_eq!(masked(&["", "a", "no"], "a banana, no?"), "a banana, no?");
    }

    proptest! {
        #[test]
        fn no_secret_survives(secret in "[ -~]{3,40}", before in "[a-z ]{0,20}", after in "[a-z ]{0,20}") {
            let text = format!("{before}{secret}{after}");
            let hidden = masked(&[&secret], &text);
            // The mask itself is no ASCII, so nothing can be put together around it.
            prop_assert!(!hidden.contains(&secret));
        }
    }
}
