//! `allmende authority`: the root that devices have to trust where services have `tls = internal`.

use clap::Subcommand;
use serde::Serialize;

use super::arguments::Json;
use super::style::Style;
use super::{Answer, CliError, print_json};
use crate::operations::Controller;

/// What can be asked about the controller's certificate authority.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Devices trust services with tls = internal once they have the root. Write it to a file and install
that, after comparing the fingerprint:
  allmende authority export >allmende.crt

Debian:
  Copy the file to /usr/local/share/ca-certificates/ and run update-ca-certificates.
  Firefox has a list of its own: Settings, Privacy & Security, View Certificates, Authorities.
Windows:
  Open the file and choose Install Certificate, Local Machine.
  Put it into Trusted Root Certification Authorities.
macOS:
  Open the file, which adds it to the keychain System.
  There, open it and set Trust to Always Trust.
iOS:
  Send the file to the device and install the profile in Settings.
  Then switch it on in General, About, Certificate Trust Settings.
Android:
  Copy the file to the device. In Settings, Security, Encryption & credentials,
  choose Install a certificate, CA certificate.

Whoever has the key of this authority can pretend to be any site for those devices: it never
leaves the vault. For services on the public internet, tls = acme needs none of this.")]
pub enum AuthorityCommand {
    /// Shows the root's fingerprint and the end of its validity
    Show(Json),
    /// Prints the root certificate (PEM)
    Export,
}

/// The documented JSON shape.
#[derive(Serialize)]
struct Described {
    fingerprint: String,
    not_after: jiff::Timestamp,
    certificate: String,
}

/// Runs it.
pub async fn run(
    command: &AuthorityCommand,
    controller: &Controller,
    style: Style,
) -> Result<Answer, CliError> {
    let authority = controller.authority().await?;
    match command {
        AuthorityCommand::Export => print!("{}", authority.certificate),
        AuthorityCommand::Show(Json { json: true }) => print_json(&Described {
            fingerprint: authority.fingerprint(),
            not_after: authority.not_after,
            certificate: authority.certificate,
        }),
        AuthorityCommand::Show(_) => {
            println!("{}", style.bold("Allmende authority"));
            println!("  SHA-256      {}", authority.fingerprint());
            println!("  valid until  {}", authority.not_after.strftime("%Y-%m-%d"));
            println!("\nDevices have to trust it once: allmende authority --help");
        }
    }
    Ok(Answer::Yes)
}
