//! The sweep.
#![allow(dead_code)]
mod agenda;
