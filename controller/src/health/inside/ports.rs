//! Ports on which somebody listens whom nobody declared.

use std::collections::BTreeSet;

use allmende_agent::observe::{ListeningPorts, OpenPort, Transport};
use allmende_agent::resources::ResourceSpec;
use serde_json::json;

use super::{answer, figure, words};
use crate::catalogue::{Wanted, WantedSpec};
use crate::model::{Answer, Status};

/// Ports that the services of a host open to everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenPorts {
    /// TCP ports.
    pub tcp: BTreeSet<u16>,
    /// UDP ports.
    pub udp: BTreeSet<u16>,
}

impl OpenPorts {
    /// Adds those that a template opens: its resources of the kind `firewall`.
    pub fn add(&mut self, wanted: &Wanted) {
        for resource in &wanted.resources {
            if let WantedSpec::Ready(ResourceSpec::Firewall(firewall)) = &resource.spec {
                self.tcp.extend(&firewall.tcp);
                self.udp.extend(&firewall.udp);
            }
        }
    }
}

pub(super) fn listening(found: &ListeningPorts) -> Answer {
    let figure = figure(found.count as f64, "");
    if found.count == 0 {
        return answer(Status::Ok, figure, "inside.listening_ports.none", ());
    }
    let ports: Vec<String> = found.open.iter().map(shown).collect();
    let values = json!({ "count": found.count, "ports": words::list(&ports, found.count) });
    answer(Status::Warning, figure, "inside.listening_ports.some", values)
}

fn shown(open: &OpenPort) -> String {
    let transport = match open.transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
    };
    let port = open.port;
    match (&open.unit, &open.program) {
        (Some(unit), _) => format!("{transport} {port} ({unit})"),
        (None, Some(program)) => format!("{transport} {port} ({program})"),
        (None, None) => format!("{transport} {port}"),
    }
}
