//! Sessions, from the controller's side: frames in, frames out, on a host in a temporary directory.

mod peer;

mod apply;
mod execute;
mod frames;
mod observe;
mod replacement;
