//! The person's own access to a host, used once to put Allmende's in place.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::arguments::Confirm;
use crate::fleet::{Destination, Question, SshConfig};
use crate::model::{JumpAddress, Secret};
use crate::operations::{AddHost, Asker, OwnAccess, Person};

/// The person at the terminal.
struct AtTerminal;

impl Person for AtTerminal {
    /// Asks without showing the answer.
    fn answer(&self, question: &Question) -> Option<Secret> {
        if !std::io::stdin().is_terminal() {
            return None;
        }
        let answer = rpassword::prompt_password(format!("{question}: ")).ok()?;
        Some(Secret::new(answer))
    }

    fn recognises(&self, host: &Destination, fingerprint: &str) -> Option<bool> {
        if !std::io::stdin().is_terminal() {
            return None;
        }
        println!("This is the first contact with {host}.");
        println!("It shows a host key with the fingerprint");
        println!("  {fingerprint}");
        println!("Compare it with what the host's console or your provider shows.");
        Some(Confirm::default().ask("Is it the same").is_ok())
    }
}

/// Completes what the person said about their access: with themselves, and with their own list of trusted keys.
pub fn prepare(access: &mut OwnAccess) {
    access.asker = Asker(Some(Arc::new(AtTerminal)));
    access.identity = access.identity.take().map(expand_home);
    access.known_hosts = match access.known_hosts.take() {
        Some(file) => Some(expand_home(file)),
        None => home().map(|home| home.join(".ssh/known_hosts")),
    };
}

/// Fills in what the person's `~/.ssh/config` says about a new host where they said nothing themselves, and tells what that is.
///
/// # Errors
/// A jump host there that cannot be understood.
pub fn read_ssh_config(add: &mut AddHost) -> Result<Vec<String>, String> {
    let Some(home) = home() else {
        return Ok(Vec::new());
    };
    let config = SshConfig::of(&home, &add.address);
    let mut taken = Vec::new();
    if let Some(address) = config.host_name.filter(|name| *name != add.address) {
        taken.push(format!("HostName {address}"));
        add.address = address;
    }
    if let (None, Some(port)) = (add.port, config.port) {
        taken.push(format!("Port {port}"));
        add.port = Some(port);
    }
    if let (None, Some(user)) = (&add.access.user, config.user) {
        taken.push(format!("User {user}"));
        add.access.user = Some(user);
    }
    if let (None, Some(identity)) = (&add.access.identity, config.identity) {
        taken.push(format!("IdentityFile {}", identity.display()));
        add.access.identity = Some(identity);
    }
    if add.access.jumps.is_empty() && !config.jumps.is_empty() {
        add.access.jumps = config
            .jumps
            .iter()
            .map(|jump| jump_host(jump, &home))
            .collect::<Result<_, _>>()?;
        taken.push(format!("ProxyJump {}", config.jumps.join(",")));
    }
    Ok(taken)
}

/// A jump host as `ProxyJump` names it: with a user or without, by its address or by a name that the file explains.
fn jump_host(text: &str, home: &Path) -> Result<JumpAddress, String> {
    let text = text.strip_prefix("ssh://").unwrap_or(text);
    let named = text.contains('@');
    let whole = if named {
        text.to_owned()
    } else {
        format!("root@{text}")
    };
    let mut jump: JumpAddress = whole
        .parse()
        .map_err(|error| format!("ProxyJump in {}: {error}", home.join(".ssh/config").display()))?;
    let config = SshConfig::of(home, &jump.address);
    if let (false, Some(user)) = (named, config.user.or_else(|| std::env::var("USER").ok())) {
        jump.user = user;
    }
    if jump.port == 22 {
        jump.port = config.port.unwrap_or(22);
    }
    jump.address = config.host_name.unwrap_or(jump.address);
    Ok(jump)
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from)
}

/// Expands a leading `~/`, which a shell leaves alone after `--identity=`.
fn expand_home(path: PathBuf) -> PathBuf {
    match (path.strip_prefix("~"), home()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    }
}
