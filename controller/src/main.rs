//! Allmende: the IT department of small non-profits, in a box. The controller.

mod catalogue;
mod cli;
mod fleet;
mod lab;
mod model;
mod operations;
mod provision;
mod store;
mod vault;

fn main() {}
