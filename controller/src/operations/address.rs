//! Addresses that people give.

use super::OperationError;
use crate::model::is_loopback;

/// Refuses an address that would give a password away: one that holds it, or one without TLS elsewhere than on this machine,
/// unless somebody insists with `--plain`.
pub(super) fn check_url(url: &str, plain: bool) -> Result<String, OperationError> {
    let refused = |text: String| Err(OperationError::Refused(text));
    let Ok(parsed) = reqwest::Url::parse(url) else {
        return refused("the address is none: write it like https://example.org/…".to_owned());
    };
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return refused("the address holds a password: leave it out, it would be seen".to_owned());
    }
    let host = parsed.host_str().unwrap_or_default();
    match parsed.scheme() {
        "https" => Ok(url.to_owned()),
        "http" if is_loopback(host) || plain => Ok(url.to_owned()),
        "http" => refused(format!(
            "{host} would be reached without TLS, and everybody on the way could read along: use https://, or add --plain if you mean it"
        )),
        other => refused(format!("{other}:// is no way there: use https://")),
    }
}
