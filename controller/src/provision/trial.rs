//! Asking a service's checks once, on its own host: what a new template is tried with.

use std::collections::BTreeMap;

use allmende_agent::protocol::{Execution, Output};

use crate::catalogue::{Check, HttpCheck, Question};
use crate::fleet::{FleetError, Session};

/// What came of a check that was asked once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// A good answer.
    Good,
    /// A bad one, and what it was.
    Bad(String),
    /// It can only be asked from outside, or over time.
    NotHere,
}

/// Asks a check on the host where its service lives.
///
/// # Errors
/// When the way to the host is lost.
pub async fn try_check(session: &Session, check: &Check) -> Result<Tried, FleetError> {
    let (argv, user, timeout) = match &check.question {
        Question::Http(http) => {
            let output = run(session, page(&http.url), "root", 60).await?;
            return Ok(judge(http, &output));
        }
        Question::Unit(unit) => (words(&["systemctl", "is-active", &unit.unit]), "root", 60),
        Question::Command(command) => (command.argv.clone(), command.user.as_str(), command.timeout),
        Question::Tcp(_)
        | Question::Tls(_)
        | Question::Dns(_)
        | Question::Ssh(_)
        | Question::Freshness(_) => return Ok(Tried::NotHere),
    };
    let output = run(session, argv, user, timeout).await?;
    Ok(match output.code {
        Some(0) => Tried::Good,
        _ => Tried::Bad(output.tail.join("\n")),
    })
}

async fn run(session: &Session, argv: Vec<String>, user: &str, timeout: u64) -> Result<Output, FleetError> {
    let execution = Execution {
        argv,
        user: user.to_owned(),
        env: BTreeMap::new(),
        stdin: None,
        timeout,
        holder: None,
        secrets: Vec::new(),
    };
    session.execute(execution).await
}

/// Fetches a page from the host itself, whatever the DNS says and whoever signed its certificate: the last line is the code.
fn page(url: &str) -> Vec<String> {
    let mut argv = words(&[
        "curl",
        "--silent",
        "--show-error",
        "--insecure",
        "--max-time",
        "50",
        "--noproxy",
        "*",
    ]);
    argv.extend(words(&[
        "--write-out",
        "\n%{http_code}",
        "--connect-to",
        "::127.0.0.1:",
        url,
    ]));
    argv
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn judge(http: &HttpCheck, output: &Output) -> Tried {
    if output.code != Some(0) {
        return Tried::Bad(output.tail.join("\n"));
    }
    let (body, code) = output.stdout.rsplit_once('\n').unwrap_or_default();
    if !http.good_codes().iter().any(|status| code.parse() == Ok(*status)) {
        return Tried::Bad(format!("it answers with the code {code}"));
    }
    if let Some(words) = &http.contains
        && !body.contains(words.as_str())
    {
        return Tried::Bad(format!("the page does not say {words:?}"));
    }
    if let Some(json) = &http.json {
        let said: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        if said.pointer(&json.pointer) != Some(&json.equals) {
            return Tried::Bad(format!("{} is not {}", json.pointer, json.equals));
        }
    }
    Tried::Good
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(http: &str, stdout: &str) -> Tried {
        let http: HttpCheck = toml::from_str(&format!("url = \"https://a.b/\"\n{http}")).expect("parses");
        let output = Output {
            code: Some(0),
            stdout: stdout.to_owned(),
            truncated: false,
            tail: Vec::new(),
        };
        judge(&http, &output)
    }

    #[test]
    fn a_page_is_judged_by_code_words_and_json() {
        assert_eq!(judged("", "hello\n200"), Tried::Good);
        assert!(matches!(judged("", "hello\n500"), Tried::Bad(_)));
        assert_eq!(judged("status = [204, 301]", "\n301"), Tried::Good);
        assert_eq!(judged("contains = \"ell\"", "hello\n200"), Tried::Good);
        assert!(matches!(
            judged("contains = \"elo\"", "hello\n200"),
            Tried::Bad(_)
        ));
        let installed = "json = { pointer = \"/installed\", equals = true }";
        assert_eq!(judged(installed, "{\"installed\":true}\n200"), Tried::Good);
        assert!(matches!(judged(installed, "no json\n200"), Tried::Bad(_)));
    }
}
