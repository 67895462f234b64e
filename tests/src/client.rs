//! A person's browser, as far as curl can be one: cookies, forms, and certificates that are looked at.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::program::Finished;

/// A browser that knows one site, its address, and whose certificates to trust.
pub struct Client {
    domain: String,
    address: String,
    authority: PathBuf,
    folder: TempDir,
}

/// A page that came back.
#[derive(Debug, Clone)]
pub struct Page {
    /// The status code, as text.
    pub code: String,
    /// Where redirections led to.
    pub url: String,
    /// The text.
    pub body: String,
}

impl Client {
    /// A browser without cookies. It trusts the certificates signed by `authority`, a file in PEM, and no others.
    pub fn new(domain: &str, address: &str, authority: &Path) -> Self {
        Self {
            domain: domain.to_owned(),
            address: address.to_owned(),
            authority: authority.to_owned(),
            folder: TempDir::new().expect("a folder for cookies"),
        }
    }

    /// Goes to a path of the site.
    #[track_caller]
    pub fn get(&self, path: &str) -> Page {
        self.ask(path, "")
    }

    /// Sends a form. The values go to curl by its standard input, so that no process shows them.
    #[track_caller]
    pub fn post(&self, path: &str, fields: &[(String, String)]) -> Page {
        let fields: String = fields
            .iter()
            .map(|(name, value)| {
                let value = value
                    .replace('\\', "\\\\")
                    .replace('"', "\\\"")
                    .replace('\n', "\\n");
                format!("data-urlencode = \"{name}={value}\"\n")
            })
            .collect();
        self.ask(path, &fields)
    }

    /// Sends a file in a form's field, as its page would.
    #[track_caller]
    pub fn upload(&self, path: &str, field: &str, file: &Path) -> Page {
        self.ask(path, &format!("form = \"{field}=@{}\"\n", file.display()))
    }

    /// Asks for a path, with further options for curl in its own file format.
    #[track_caller]
    fn ask(&self, path: &str, config: &str) -> Page {
        let domain = &self.domain;
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--location", "--max-time", "60"])
            .args(["--write-out", "\n%{http_code} %{url_effective}", "--config", "-"])
            .arg("--cacert")
            .arg(&self.authority);
        for port in ["80", "443"] {
            command.args(["--resolve", &format!("{domain}:{port}:{}", self.address)]);
        }
        for option in ["--cookie", "--cookie-jar"] {
            command.arg(option).arg(self.folder.path().join("cookies"));
        }
        command.arg(if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("https://{domain}{path}")
        });
        let output = Finished::fed(&mut command, config).expect(0).stdout;
        let (body, last) = output.rsplit_once('\n').expect("a status line");
        let (code, url) = last.split_once(' ').expect("a status and an address");
        Page {
            code: code.to_owned(),
            url: url.to_owned(),
            body: body.to_owned(),
        }
    }
}

impl Page {
    /// The fields of the form with this `id`, with the values that they have on the page.
    #[track_caller]
    pub fn form(&self, id: &str) -> Form {
        let form = self
            .body
            .split("<form ")
            .skip(1)
            .map(|rest| rest.split("</form>").next().unwrap_or_default())
            .find(|form| attribute(form.split('>').next().unwrap_or_default(), "id").as_deref() == Some(id))
            .unwrap_or_else(|| panic!("{} has no form {id}:\n{}", self.url, self.body));
        let action = attribute(form.split('>').next().unwrap_or_default(), "action").unwrap_or_default();
        let fields = form
            .split("<input ")
            .skip(1)
            .map(|rest| rest.split('>').next().unwrap_or_default())
            .filter(|tag| attribute(tag, "type").as_deref() == Some("hidden"))
            .filter_map(|tag| {
                Some((
                    attribute(tag, "name")?,
                    attribute(tag, "value").unwrap_or_default(),
                ))
            })
            .collect();
        Form { action, fields }
    }

    /// Fails the test unless the page has this text.
    #[track_caller]
    pub fn showing(self, text: &str) -> Self {
        assert!(
            self.body.contains(text),
            "{} ({}) does not show {text:?}:\n{}",
            self.url,
            self.code,
            self.body
        );
        self
    }
}

/// A form that is being filled in.
#[derive(Debug, Clone)]
pub struct Form {
    /// Where it is sent.
    pub action: String,
    fields: Vec<(String, String)>,
}

impl Form {
    /// Fills in a field.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends it.
    #[track_caller]
    pub fn send(self, client: &Client) -> Page {
        client.post(&self.action, &self.fields)
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    let value = rest.split('"').next()?;
    Some(value.replace("&quot;", "\"").replace("&amp;", "&"))
}

impl Finished {
    /// Runs a command that reads `input` to its end.
    pub fn fed(command: &mut Command, input: &str) -> Self {
        let line = Self::line(command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        let mut stdin = child.stdin.take().expect("its standard input is a pipe");
        stdin
            .write_all(input.as_bytes())
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        drop(stdin);
        let output = child
            .wait_with_output()
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        Self::ended(line, output)
    }
}
