//! What happens when something goes wrong in the middle: each disturbance gives one clear error that says what to do,
//! nothing is half-written, and the next apply ends well.

mod archives;
mod hosts;
mod impostors;
mod interruptions;
mod rivals;
mod stage;
mod templates;
