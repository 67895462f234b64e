//! A Unix group.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::host::Host;
use crate::names;
use crate::process::Program;
use crate::resources::{Difference, Manage};

/// A Unix group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSpec {
    /// Name.
    pub name: String,
    /// Whether its id comes from the system range when it is made.
    #[serde(default = "super::yes")]
    pub system: bool,
    /// Id, if it has to be a certain one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}

impl GroupSpec {
    fn add(&self) -> Program {
        let mut program = Program::new(["groupadd"]);
        if self.system {
            program = program.arg("--system");
        }
        if let Some(gid) = self.gid {
            program = program.args(["--gid", &gid.to_string()]);
        }
        program.args(["--", &self.name])
    }
}

impl Manage for GroupSpec {
    fn check(&self) -> names::Verdict {
        names::account(&self.name)
    }

    fn subject(&self) -> String {
        self.name.clone()
    }

    fn compare(&self, host: &mut Host) -> Result<Option<Difference>, Error> {
        let Some(group) = host.accounts()?.group(&self.name) else {
            let difference = Difference::create();
            return Ok(Some(match self.gid {
                Some(gid) => difference.becomes("gid", None, &gid.to_string()),
                None => difference.becomes("group", None, &self.name),
            }));
        };
        match self.gid {
            Some(gid) if gid != group.gid => Err(Error::obstacle(
                format!("the group {} has the id {} and not {gid}", self.name, group.gid),
                "its files would be lost to it with another id: change it by hand, or leave `gid` out",
            )),
            _ => Ok(None),
        }
    }

    fn change(&self, host: &mut Host, _: &Difference) -> Result<(), Error> {
        host.succeed(&self.add())?;
        host.accounts_changed();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::difference::tests::Bench;

    fn spec(name: &str, gid: Option<u32>) -> GroupSpec {
        GroupSpec {
            name: name.to_owned(),
            system: true,
            gid,
        }
    }

    #[test]
    fn the_command_line_is_right() {
        assert_eq!(
            spec("cloud", Some(990)).add().argv,
            ["groupadd", "--system", "--gid", "990", "--", "cloud"]
        );
    }

    #[test]
    fn a_group_that_exists_is_left_alone() {
        let bench = Bench::new();
        assert_eq!(bench.plans(&spec("root", None)), None);
        assert!(bench.plans(&spec("cloud", None)).is_some());
        assert!(bench.fails(&spec("root", Some(77_777))).contains("and not 77777"));
    }
}
