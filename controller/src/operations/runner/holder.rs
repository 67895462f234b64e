//! Who holds a job: a process that can be found again, or found gone.

use std::fs;

/// A process of some machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    text: String,
    identity: String,
}

impl Holder {
    /// This very process.
    pub fn this_process() -> Self {
        let pid = std::process::id();
        let host = read("/proc/sys/kernel/hostname");
        Self {
            text: format!("process {pid} on {host}"),
            identity: format!(
                "{} {} {pid} {}",
                machine(),
                boot(),
                start_time(pid).unwrap_or_default()
            ),
        }
    }

    /// For people.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// For [`Holder::is_gone`].
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Whether the process with this identity is provably gone. Of other machines nothing can be known from here.
    pub fn is_gone(identity: &str) -> bool {
        let mut parts = identity.split(' ');
        let (Some(machine_then), Some(boot_then), Some(pid), Some(start)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        if machine_then.is_empty() || machine_then != machine() {
            return false;
        }
        if boot_then != boot() {
            return true;
        }
        match pid.parse() {
            Ok(pid) => start_time(pid).is_none_or(|now| now != start),
            Err(_) => false,
        }
    }
}

fn machine() -> String {
    let id = read("/etc/machine-id");
    if id.is_empty() {
        // Containers may have no machine-id; their name has to do.
        read("/proc/sys/kernel/hostname")
    } else {
        id
    }
}

fn boot() -> String {
    read("/proc/sys/kernel/random/boot_id")
}

/// When a process began, in clock ticks since the boot: field 22 of `/proc/PID/stat`, counted behind the name, which may
/// hold anything.
fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let behind_name = stat.rsplit_once(')')?.1;
    behind_name.split_whitespace().nth(19).map(str::to_owned)
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_an_ended_one_is_gone() {
        let own = Holder::this_process();
        assert!(!Holder::is_gone(own.identity()));
        let mut child = std::process::Command::new("true").spawn().expect("started");
        let pid = child.id();
        let identity = format!("{} {} {pid} {}", machine(), boot(), "1");
        child.wait().expect("ended");
        assert!(Holder::is_gone(&identity));
        assert!(!Holder::is_gone("another-machine boot 1 1"));
        assert!(!Holder::is_gone("nonsense"));
    }
}
