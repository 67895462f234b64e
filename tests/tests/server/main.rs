//! `allmende serve`: work is handed to it, and nothing is lost when it ends, in whatever way.

mod faults;
mod handed_over;
mod installed;
mod killed;
mod running;
mod two_controllers;
