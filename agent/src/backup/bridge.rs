//! The way from the engine to its repository: `bridge`, which sshd starts for the controller, and `connect`, which the
//! engine starts, meet at a socket that only root can reach.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::exit;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::AGENT_PATH;
use crate::atomic::make_own_directory;
use crate::layout::Layout;
use crate::names;

/// How long the two wait for each other.
const MEETING: Duration = Duration::from_secs(60);

/// What is passed on at once, in bytes.
const PIECE: usize = 64 * 1024;

/// The name of the bridge that an SSH client asked for, if it asked for one: the forced command starts `serve` whatever is
/// asked for.
pub fn asked_for(original_command: &str) -> Option<String> {
    let name = original_command
        .strip_prefix(AGENT_PATH)?
        .strip_prefix(" bridge ")?;
    names::run(name).ok().map(|()| name.to_owned())
}

/// Waits for the engine and passes on between it and standard input and output, until one of them ends.
///
/// # Errors
/// A sentence for people: when there can be no socket, or nobody came.
pub fn bridge(layout: &Layout, name: &str) -> Result<(), String> {
    let socket =
        Socket::bind(layout, name).map_err(|error| format!("the bridge {name} cannot open: {error}"))?;
    let engine = socket.accept()?;
    drop(socket);
    splice(engine)
}

/// Passes on between the bridge and the engine that started this, until one of them ends.
///
/// # Errors
/// A sentence for people: when there is no such bridge.
pub fn connect(layout: &Layout, name: &str) -> Result<(), String> {
    names::run(name)?;
    let path = path(layout, name);
    let begun = Instant::now();
    let bridge = loop {
        match UnixStream::connect(&path) {
            Ok(stream) => break stream,
            // The bridge comes by another channel, and may be a moment behind.
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused)
                    && begun.elapsed() < MEETING =>
            {
                sleep(Duration::from_millis(10));
            }
            Err(error) => return Err(format!("the bridge {name} cannot be reached: {error}")),
        }
    };
    splice(bridge)
}

fn path(layout: &Layout, name: &str) -> PathBuf {
    layout.bridges().join(format!("{name}.sock"))
}

/// A socket that vanishes when it is dropped.
struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    fn bind(layout: &Layout, name: &str) -> io::Result<Socket> {
        make_own_directory(&layout.bridges()).map_err(io::Error::other)?;
        let path = path(layout, name);
        remove(&path)?;
        let listener = UnixListener::bind(&path)?;
        Ok(Socket { listener, path })
    }

    /// The first that comes, unless the controller goes before.
    fn accept(&self) -> Result<UnixStream, String> {
        let stdin = io::stdin();
        let begun = Instant::now();
        loop {
            let left = MEETING.saturating_sub(begun.elapsed());
            let wait = Timespec::try_from(left).map_err(|error| error.to_string())?;
            let mut asked = [
                PollFd::new(&self.listener, PollFlags::IN),
                // What the controller says first stays where it is until somebody is there to hear it.
                PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::RDHUP),
            ];
            match poll(&mut asked, Some(&wait)) {
                Ok(0) => {
                    let seconds = MEETING.as_secs();
                    return Err(format!("no engine came to the bridge within {seconds} seconds"));
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(format!("waiting for the engine: {error}")),
            }
            let [engine, controller] = asked.map(|asked| asked.revents());
            if engine.contains(PollFlags::IN) {
                let (stream, _) = self
                    .listener
                    .accept()
                    .map_err(|error| format!("the engine came, and was lost: {error}"))?;
                return Ok(stream);
            }
            if !controller.is_empty() {
                return Err("the controller went before an engine came".to_owned());
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = remove(&self.path);
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Ends with the first of the two directions: neither side has anything to say to one that is gone. The other
/// direction may be stuck in a read that nothing would end, so the process ends.
fn splice(stream: UnixStream) -> Result<(), String> {
    let failed = |error: io::Error| format!("the bridge cannot be crossed: {error}");
    let onwards = stream.try_clone().map_err(failed)?;
    // Not the buffered ones of the standard library, which would write each piece twice.
    let mut stdin = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(failed)?);
    let mut stdout = File::from(io::stdout().as_fd().try_clone_to_owned().map_err(failed)?);
    thread::Builder::new()
        .name("onwards".to_owned())
        .spawn(move || {
            pass(&mut stdin, &mut &onwards);
            // What is on its way back still arrives, unless the reader is gone as well.
            let _ = onwards.shutdown(Shutdown::Write);
        })
        .map_err(failed)?;
    pass(&mut &stream, &mut stdout);
    exit(0)
}

/// Passes on until there is no more, or nobody takes it.
fn pass(from: &mut impl Read, to: &mut impl Write) {
    let mut piece = vec![0; PIECE];
    loop {
        let count = match from.read(&mut piece) {
            Ok(0) => return,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let Some(read) = piece.get(..count) else { return };
        if to.write_all(read).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bridge_with_a_plain_name_is_a_bridge() {
        let of = |name: &str| asked_for(&format!("{AGENT_PATH} bridge {name}"));
        assert_eq!(of("job-12-0"), Some("job-12-0".to_owned()));
        for bad in ["", " job-12", "../x", "a b", "a;b", "a\n", "-a"] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
        assert_eq!(asked_for(&format!("{AGENT_PATH} serve")), None);
        assert_eq!(asked_for("/bin/sh bridge a"), None);
    }
}
