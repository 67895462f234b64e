//! `allmende serve --install`: the program, a user of its own, and a hardened unit of systemd.

use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::ServerError;

/// The unit, with `user`, `program` and `data_dir` to be filled in.
const UNIT: &str = include_str!("../../../templates/system/allmende.service");

/// Where everything goes; the defaults are those of a Debian system.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The data directory; it becomes the user's.
    pub data_dir: PathBuf,
    /// The Unix user that the server runs as; made where it is missing.
    pub user: String,
    /// Where the program is put.
    pub program: PathBuf,
    /// The unit file.
    pub unit: PathBuf,
}

impl Installation {
    /// An installation for this data directory.
    pub fn of(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            user: "allmende".to_owned(),
            program: PathBuf::from("/usr/local/bin/allmende"),
            unit: PathBuf::from("/etc/systemd/system/allmende.service"),
        }
    }

    /// The unit file's content.
    ///
    /// # Errors
    /// When a path has letters that systemd reads in a way of its own.
    fn unit_text(&self) -> Result<String, ServerError> {
        let plain = |path: &Path| {
            let letter = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
            path.is_absolute() && path.to_string_lossy().chars().all(letter)
        };
        for path in [&self.data_dir, &self.program] {
            if !plain(path) {
                return Err(failed(
                    format!("write {} into a unit", path.display()),
                    "expected an absolute path of letters, digits, `.`, `_` and `-`",
                ));
            }
        }
        let text = [
            ("{{ user }}", self.user.clone()),
            ("{{ program }}", self.program.display().to_string()),
            ("{{ data_dir }}", self.data_dir.display().to_string()),
        ]
        .into_iter()
        .fold(UNIT.to_owned(), |text, (name, value)| text.replace(name, &value));
        Ok(text)
    }

    /// What is run as root, in order.
    fn commands(&self) -> Vec<Vec<&str>> {
        vec![
            vec!["systemctl", "daemon-reload"],
            vec!["systemctl", "enable", "--quiet", "allmende.service"],
            vec!["systemctl", "restart", "allmende.service"],
        ]
    }
}

/// Installs the server and starts it; a second time brings everything up to date. Returns what was done, for people.
///
/// # Errors
/// What stands in the way.
pub fn install(installation: &Installation) -> Result<Vec<String>, ServerError> {
    if !rustix::process::geteuid().is_root() {
        return Err(failed(
            "make a user and a unit".to_owned(),
            "only root may: repeat it with sudo",
        ));
    }
    if !Path::new("/run/systemd/system").is_dir() {
        return Err(failed(
            "start a unit".to_owned(),
            "systemd does not run on this machine",
        ));
    }
    let unit = installation.unit_text()?;
    let user = installation.user.as_str();
    let data_dir = installation.data_dir.display();
    let mut done = Vec::new();
    if !succeeds(&["getent", "passwd", user])? {
        let home = installation.data_dir.to_string_lossy();
        let add = [
            "useradd",
            "--system",
            "--user-group",
            "--no-create-home",
            "--home-dir",
            &home,
        ];
        run(&[add.as_slice(), &["--shell", "/usr/sbin/nologin", user]].concat())?;
        done.push(format!("User {user} was made."));
    }
    if put_program(&installation.program)? {
        done.push(format!("The program is {}.", installation.program.display()));
    }
    let archives = installation.data_dir.join("archives");
    fs::create_dir_all(&archives).map_err(|error| failed(format!("make {}", archives.display()), error))?;
    let owner = fs::metadata(&installation.data_dir)
        .ok()
        .map(|_| user_ids(user))
        .transpose()?;
    if let Some((uid, gid)) = owner {
        give(&installation.data_dir, uid, gid)?;
        done.push(format!("{data_dir} belongs to {user}."));
    }
    write(&installation.unit, unit.as_bytes(), 0o644)?;
    for command in installation.commands() {
        run(&command)?;
    }
    done.push(
        "The server runs, and starts with this machine. See it with: systemctl status allmende".to_owned(),
    );
    Ok(done)
}

/// Copies this program to its place, unless it runs from there; whether it did.
fn put_program(place: &Path) -> Result<bool, ServerError> {
    let attempt = || format!("copy this program to {}", place.display());
    let own = std::env::current_exe().map_err(|error| failed(attempt(), error))?;
    if own == place {
        return Ok(false);
    }
    let content = fs::read(&own).map_err(|error| failed(attempt(), error))?;
    write(place, &content, 0o755)?;
    Ok(true)
}

/// Writes a file beside its place and renames it: who starts it sees the old or the new one.
fn write(place: &Path, content: &[u8], mode: u32) -> Result<(), ServerError> {
    let beside = place.with_extension("new");
    fs::write(&beside, content)
        .and_then(|()| fs::set_permissions(&beside, fs::Permissions::from_mode(mode)))
        .and_then(|()| fs::rename(&beside, place))
        .map_err(|error| failed(format!("write {}", place.display()), error))
}

/// Gives a folder and what is in it to a user.
fn give(path: &Path, uid: u32, gid: u32) -> Result<(), ServerError> {
    let attempt = || format!("give {} to its user", path.display());
    lchown(path, Some(uid), Some(gid)).map_err(|error| failed(attempt(), error))?;
    let metadata = fs::symlink_metadata(path).map_err(|error| failed(attempt(), error))?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path).map_err(|error| failed(attempt(), error))? {
            give(&entry.map_err(|error| failed(attempt(), error))?.path(), uid, gid)?;
        }
    }
    Ok(())
}

/// The numbers of a user and of its group.
fn user_ids(user: &str) -> Result<(u32, u32), ServerError> {
    let number = |option: &str| {
        let said = run(&["id", option, user])?;
        said.trim()
            .parse()
            .map_err(|_| failed(format!("find the user {user}"), said))
    };
    Ok((number("-u")?, number("-g")?))
}

/// Runs a program; its output.
fn run(argv: &[&str]) -> Result<String, ServerError> {
    let attempt = || format!("run {}", argv.join(" "));
    let output = command(argv).output().map_err(|error| failed(attempt(), error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(attempt(), String::from_utf8_lossy(&output.stderr).trim()))
}

fn succeeds(argv: &[&str]) -> Result<bool, ServerError> {
    let output = command(argv).output();
    let output = output.map_err(|error| failed(format!("run {}", argv.join(" ")), error))?;
    Ok(output.status.success())
}

fn command(argv: &[&str]) -> Command {
    let (program, arguments) = argv.split_first().unwrap_or((&"true", &[]));
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C.UTF-8");
    command
}

fn failed(attempt: String, reason: impl ToString) -> ServerError {
    ServerError::Install {
        attempt,
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_filled_in_whole() {
        let text = Installation::of("/var/lib/allmende".into())
            .unit_text()
            .expect("plain paths");
        assert!(text.contains("ExecStart=/usr/local/bin/allmende --data-dir /var/lib/allmende serve\n"));
        assert!(text.contains("User=allmende\n") && text.contains("NoNewPrivileges=yes\n"));
        assert!(!text.contains("{{"), "{text}");
    }

    #[test]
    fn paths_that_systemd_would_read_differently_are_refused() {
        for path in ["/var/lib/all mende", "/var/lib/%h", "relative", "/var/$HOME"] {
            assert!(Installation::of(path.into()).unit_text().is_err(), "{path}");
        }
    }
}
