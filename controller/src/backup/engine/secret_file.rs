//! Secrets for programs that want to read them from files: such files are memory that nobody else finds.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;

use rustix::fs::{MemfdFlags, Mode, fchmod, memfd_create};

/// A text in memory that a program of the same user can read as a file, as often as it likes, while this lives. It is on no disk
/// and in no environment.
pub struct SecretFile(File);

impl SecretFile {
    /// Takes the text in.
    ///
    /// # Errors
    /// The system has no memory for it.
    pub fn new(text: &str) -> io::Result<Self> {
        let mut file = File::from(memfd_create("allmende", MemfdFlags::CLOEXEC)?);
        // ssh takes no key that others could read.
        fchmod(&file, Mode::RUSR | Mode::WUSR)?;
        file.write_all(text.as_bytes())?;
        Ok(Self(file))
    }

    /// Its path; good for programs that this process starts.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_more_than_once() {
        let file = SecretFile::new("hunter2!").unwrap();
        for _ in 0..2 {
            assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "hunter2!");
        }
    }

    #[test]
    fn it_ends_with_its_owner() {
        let file = SecretFile::new("hunter2!").unwrap();
        let path = file.path();
        drop(file);
        assert!(std::fs::read_to_string(path).map_or(true, |text| text != "hunter2!"));
    }
}
