//! Builds the agent that the controller carries, as one static binary, with a cargo of its own.
//!
//! Only the final link may be static: with `-C target-feature=+crt-static` for everything, procedural macros could not be
//! built. `cargo rustc … -- -C target-feature=+crt-static` does just that, but only for a package of its own run.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let workspace = PathBuf::from(variable("CARGO_MANIFEST_DIR")?)
        .parent()
        .ok_or("the controller lies in no workspace")?
        .to_owned();
    for source in ["agent/src", "agent/Cargo.toml", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }

    let binary = fs::read(build_agent(&workspace)?)?;
    let mut sha256 = String::new();
    for byte in Sha256::digest(&binary) {
        write!(sha256, "{byte:02x}")?;
    }
    let kept = keep(&binary, &sha256)?;
    println!("cargo::rustc-env=ALLMENDE_AGENT_BINARY={}", kept.display());
    println!("cargo::rustc-env=ALLMENDE_AGENT_SHA256={sha256}");
    println!(
        "cargo::rustc-env=ALLMENDE_AGENT_ARCH={}",
        variable("CARGO_CFG_TARGET_ARCH")?
    );
    Ok(())
}

/// Keeps the binary under a name that says its hash: whatever happens to build directories, the controller never embeds
/// one binary and claims the hash of another.
fn keep(binary: &[u8], sha256: &str) -> Result<PathBuf, Failure> {
    const PREFIX: &str = "allmende-agent-";
    let directory = PathBuf::from(variable("OUT_DIR")?);
    for entry in fs::read_dir(&directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            fs::remove_file(entry.path())?;
        }
    }
    let path = directory.join(format!("{PREFIX}{sha256}"));
    fs::write(&path, binary)?;
    Ok(path)
}

/// Runs the nested cargo and says where the binary is.
fn build_agent(workspace: &Path) -> Result<PathBuf, Failure> {
    let target = variable("TARGET")?;
    // Not the workspace's target directory: the cargo that runs this script holds its lock.
    let directory = PathBuf::from(variable("OUT_DIR")?).join("agent");
    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .current_dir(workspace)
        .args(["rustc", "-p", "allmende-agent", "--bin", "allmende-agent"])
        .args(["--profile", "agent", "--locked", "--target", &target])
        .arg("--target-dir")
        .arg(&directory)
        .args(["--", "-C", "target-feature=+crt-static"]);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(disturbs) {
            cargo.env_remove(name);
        }
    }
    let outcome = cargo.output()?;
    if !outcome.status.success() {
        let said = String::from_utf8_lossy(&outcome.stderr);
        return Err(format!("building the agent failed ({}):\n{said}", outcome.status).into());
    }
    Ok(directory.join(target).join("agent").join("allmende-agent"))
}

/// Whether a variable that is meant for the outer build would change the agent's.
///
/// Where crates come from (`CARGO_HOME`, `CARGO_NET_*`, `CARGO_SOURCE_*` …) and the jobserver (`CARGO_MAKEFLAGS`) stay as they are.
fn disturbs(name: &str) -> bool {
    const NAMES: [&str; 20] = [
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_INCREMENTAL",
        "CARGO_PRIMARY_PACKAGE",
        "CARGO_TARGET_DIR",
        "CLIPPY_ARGS",
        "CLIPPY_CONF_DIR",
        "DEBUG",
        "HOST",
        "LLVM_PROFILE_FILE",
        "NUM_JOBS",
        "OPT_LEVEL",
        "OUT_DIR",
        "PROFILE",
        "RUSTC_LINKER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTDOC",
        "RUSTDOCFLAGS",
        "RUSTFLAGS",
        "TARGET",
    ];
    const FAMILIES: [&str; 9] = [
        "CARGO_BIN_",
        "CARGO_BUILD_",
        "CARGO_CFG_",
        "CARGO_CRATE_",
        "CARGO_FEATURE_",
        "CARGO_MANIFEST_",
        "CARGO_PKG_",
        "CARGO_PROFILE_",
        "CARGO_TARGET_",
    ];
    NAMES.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family))
}

fn variable(name: &str) -> Result<String, Failure> {
    env::var(name).map_err(|error| format!("cargo did not set {name}: {error}").into())
}
