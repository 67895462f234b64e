//! The agent that this controller carries; `build.rs` makes it.

/// An agent's binary.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedAgent {
    /// The static binary.
    pub binary: &'static [u8],
    /// Its SHA-256, lower-case hex.
    pub sha256: &'static str,
    /// The architecture it runs on, as `uname -m` and the agent's facts name it.
    pub arch: &'static str,
}

/// The agent that hosts get.
pub const EMBEDDED_AGENT: EmbeddedAgent = EmbeddedAgent {
    binary: include_bytes!(env!("ALLMENDE_AGENT_BINARY")),
    sha256: env!("ALLMENDE_AGENT_SHA256"),
    arch: env!("ALLMENDE_AGENT_ARCH"),
};

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_embedded_agent_is_a_program_with_the_hash_it_claims() {
        assert!(EMBEDDED_AGENT.binary.starts_with(b"\x7fELF"));
        let hash: String = Sha256::digest(EMBEDDED_AGENT.binary)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hash, EMBEDDED_AGENT.sha256);
    }

    #[test]
    fn the_embedded_agent_needs_no_libraries_of_the_host() {
        let interpreter = b"/lib64/ld-linux";
        let names_a_loader = EMBEDDED_AGENT
            .binary
            .windows(interpreter.len())
            .take(4096)
            .any(|window| window == interpreter);
        assert!(!names_a_loader, "the agent is linked dynamically");
    }
}
