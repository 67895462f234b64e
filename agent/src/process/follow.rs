//! Feeds and drains a program until it ends.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::Program;

/// Standard output that is kept at most, in bytes.
const KEPT: usize = 4 * 1024 * 1024;
/// Last lines that an error quotes.
const TAIL: usize = 15;
/// The longest line that is passed on, in bytes.
const LINE: usize = 1000;
/// How long a program may take to end after it has been asked to.
const GRACE: Duration = Duration::from_secs(10);

/// A program that runs, with what it said so far.
pub(super) struct Follower {
    stdin: Option<(std::process::ChildStdin, Vec<u8>, usize)>,
    stdout: Option<std::process::ChildStdout>,
    stderr: Option<std::process::ChildStderr>,
    lines: [Lines; 2],
    pub(super) kept: Vec<u8>,
    pub(super) tail: VecDeque<String>,
    pub(super) timed_out: bool,
}

impl Follower {
    pub(super) fn new(program: &Program, child: &mut Child) -> io::Result<Follower> {
        let stdin = child
            .stdin
            .take()
            .map(|pipe| (pipe, program.stdin.clone().unwrap_or_default(), 0));
        let follower = Follower {
            stdin,
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            lines: Default::default(),
            kept: Vec::new(),
            tail: VecDeque::new(),
            timed_out: false,
        };
        if let Some((pipe, ..)) = &follower.stdin {
            do_not_block(pipe)?;
        }
        if let Some(pipe) = &follower.stdout {
            do_not_block(pipe)?;
        }
        if let Some(pipe) = &follower.stderr {
            do_not_block(pipe)?;
        }
        Ok(follower)
    }

    pub(super) fn follow(
        &mut self,
        program: &Program,
        child: &mut Child,
        say: &mut dyn FnMut(&str),
    ) -> io::Result<ExitStatus> {
        let pid = Pid::from_child(child);
        let ended = pidfd_open(pid, PidfdFlags::empty()).ok();
        let mut deadline = Instant::now() + program.timeout;
        loop {
            let mut left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let signal = if self.timed_out {
                    Signal::KILL
                } else {
                    Signal::TERM
                };
                let _ = kill_process_group(pid, signal);
                self.timed_out = true;
                deadline = Instant::now() + GRACE;
                left = GRACE;
            }
            if ended.is_none() {
                left = left.min(Duration::from_millis(20));
            }
            {
                let mut asked = Vec::with_capacity(4);
                if let Some((pipe, ..)) = &self.stdin {
                    asked.push(PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::OUT));
                }
                if let Some(pipe) = &self.stdout {
                    asked.push(PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN));
                }
                if let Some(pipe) = &self.stderr {
                    asked.push(PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN));
                }
                if let Some(ended) = &ended {
                    asked.push(PollFd::from_borrowed_fd(ended.as_fd(), PollFlags::IN));
                }
                let wait = Timespec::try_from(left).map_err(io::Error::other)?;
                match poll(&mut asked, Some(&wait)) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            // Asked before the pipes are drained: what a program wrote before its end is then in them.
            let status = child.try_wait()?;
            self.feed();
            self.drain(say);
            if let Some(status) = status {
                for lines in &mut self.lines {
                    lines.rest(&mut |line| pass(line, &mut self.tail, say));
                }
                return Ok(status);
            }
        }
    }

    fn feed(&mut self) {
        if let Some((pipe, text, done)) = &mut self.stdin {
            loop {
                match pipe.write(text.get(*done..).unwrap_or_default()) {
                    Ok(count) if *done + count < text.len() && count > 0 => *done += count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // All is written, or the program wants no more.
                    Ok(_) | Err(_) => break,
                }
            }
            self.stdin = None;
        }
    }

    fn drain(&mut self, say: &mut dyn FnMut(&str)) {
        let [out_lines, error_lines] = &mut self.lines;
        let (kept, tail) = (&mut self.kept, &mut self.tail);
        if let Some(pipe) = &mut self.stdout {
            let open = drain(pipe, &mut |bytes| {
                let room = KEPT.saturating_sub(kept.len()).min(bytes.len());
                kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
                out_lines.add(bytes, &mut |line| pass(line, tail, say));
            });
            if !open {
                self.stdout = None;
            }
        }
        if let Some(pipe) = &mut self.stderr
            && !drain(pipe, &mut |bytes| {
                error_lines.add(bytes, &mut |line| pass(line, tail, say))
            })
        {
            self.stderr = None;
        }
    }
}

fn do_not_block(pipe: &impl AsFd) -> io::Result<()> {
    let flags = fcntl_getfl(pipe)?;
    Ok(fcntl_setfl(pipe, flags | OFlags::NONBLOCK)?)
}

/// Reads what is there; false when there will be no more.
fn drain(pipe: &mut impl Read, take: &mut dyn FnMut(&[u8])) -> bool {
    let mut buffer = [0; 8192];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => take(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// The last lines of a pipe whose end is waited for.
pub(super) fn tail_of(mut pipe: impl Read) -> Vec<String> {
    let mut lines = Lines::default();
    let mut tail = VecDeque::new();
    drain(&mut pipe, &mut |bytes| {
        lines.add(bytes, &mut |line| pass(line, &mut tail, &mut |_| ()));
    });
    lines.rest(&mut |line| pass(line, &mut tail, &mut |_| ()));
    tail.into()
}

fn pass(line: &str, tail: &mut VecDeque<String>, say: &mut dyn FnMut(&str)) {
    if tail.len() == TAIL {
        tail.pop_front();
    }
    tail.push_back(line.to_owned());
    say(line);
}

/// Bytes that become lines of text; a line that never ends is cut.
#[derive(Debug, Default)]
struct Lines {
    open: Vec<u8>,
}

impl Lines {
    fn add(&mut self, bytes: &[u8], take: &mut dyn FnMut(&str)) {
        for byte in bytes {
            match byte {
                b'\n' | b'\r' => self.rest(take),
                byte => {
                    if self.open.len() == LINE {
                        self.rest(take);
                    }
                    self.open.push(*byte);
                }
            }
        }
    }

    fn rest(&mut self, take: &mut dyn FnMut(&str)) {
        let text = String::from_utf8_lossy(&self.open);
        let text = text.trim_end();
        if !text.is_empty() {
            take(&text.replace(|character: char| character.is_control() && character != '\t', "·"));
        }
        self.open.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endless_lines_are_cut() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        lines.add(&vec![b'x'; 2500], &mut |line| seen.push(line.len()));
        lines.rest(&mut |line| seen.push(line.len()));
        assert_eq!(seen, [1000, 1000, 500]);
    }
}
