//! Organisations, hosts and services in the inventory: what is kept, what is refused, and what must never be kept.

mod alone;
mod as_text;
mod with_a_host;
