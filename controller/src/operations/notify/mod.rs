//! Operations on channels, on people who are told, and on the rules by which they are.

mod channel;
mod person;
mod rule;
mod test;

pub use channel::{AddChannel, EditChannel, RemoveChannel};
pub use person::{AddPerson, EditPerson, RemovePerson};
pub use rule::{AddRule, RemoveRule};
pub use test::TestChannel;

use crate::model::Outcome;

fn changed(message: String) -> Outcome {
    Outcome {
        message,
        changed: true,
        ..Outcome::default()
    }
}
