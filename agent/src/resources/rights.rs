//! Owner, group and mode of files and directories.

use rustix::fs::Stat;

use crate::error::Error;
use crate::host::Host;
use crate::names;
use crate::resources::Difference;

pub(super) fn check_rights(owner: &str, group: &str, mode: &str) -> names::Verdict {
    names::account(owner)?;
    names::account(group)?;
    names::mode(mode).map(|_| ())
}

/// What something new will get.
pub(super) fn new_rights(difference: Difference, owner: &str, group: &str, mode: &str) -> Difference {
    difference
        .becomes("owner", None, owner)
        .becomes("group", None, group)
        .becomes("mode", None, &padded(names::mode(mode).unwrap_or(0)))
}

/// How the rights of something that exists differ. Names are compared, so an owner that does not exist yet is no error.
pub(super) fn compare_rights(
    host: &mut Host,
    found: &Stat,
    owner: &str,
    group: &str,
    mode: &str,
) -> Result<Difference, Error> {
    let mut difference = Difference::change();
    let accounts = host.accounts()?;
    let (is_owner, is_group) = (
        accounts.user_name(found.st_uid, owner),
        accounts.group_name(found.st_gid, group),
    );
    if is_owner != owner {
        difference = difference.becomes("owner", Some(&is_owner), owner);
    }
    if is_group != group {
        difference = difference.becomes("group", Some(&is_group), group);
    }
    let (is_mode, mode) = (found.st_mode & 0o7777, names::mode(mode).map_err(Error::Invalid)?);
    if is_mode != mode {
        difference = difference.becomes("mode", Some(&padded(is_mode)), &padded(mode));
    }
    Ok(difference)
}

fn padded(mode: u32) -> String {
    format!("{mode:04o}")
}
