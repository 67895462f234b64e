//! What disks say about themselves, by `smartctl`, where the host has disks of its own.

use std::fs;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Finding, Observe, Scene};
use crate::facts;
use crate::process::{Program, is_there};

/// How do the disks feel?
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmartQuestion {}

/// What disks say about themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smart {
    /// Disks that are this host's own: none in a container or a virtual machine.
    pub disks: Vec<Disk>,
    /// Whether the program is there that asks them.
    pub tool: bool,
}

/// What one disk says about itself; what it does not say is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Disk {
    /// `sda`, `nvme0n1`.
    pub name: String,
    /// Its maker's name for it.
    pub model: String,
    /// Whether it takes itself for healthy.
    pub passed: Option<bool>,
    /// Sectors that it has replaced by spare ones.
    pub reallocated: Option<u64>,
    /// Sectors that it could not read and still hopes to.
    pub pending: Option<u64>,
    /// Sectors or blocks that are lost.
    pub lost: Option<u64>,
    /// How much of its life is used up, in percent; may be above 100.
    pub worn: Option<u64>,
    /// Degrees Celsius.
    pub temperature: Option<i64>,
    /// Hours that it has run.
    pub hours: Option<u64>,
}

/// Makers of disks that do not exist.
const VIRTUAL: [&str; 6] = ["QEMU", "VBOX", "VMware", "Msft", "Google", "Virtual"];

/// How many disks are asked.
const MOST: usize = 24;

impl Observe for SmartQuestion {
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn observe(&self, scene: &Scene) -> Result<Finding, String> {
        let names = own_disks(scene);
        let tool = is_there("smartctl");
        let mut disks = Vec::new();
        for name in names {
            let answer = if tool { ask(scene, &name) } else { Value::Null };
            disks.push(Disk::read(name, &answer));
        }
        Ok(Finding::Smart(Smart { disks, tool }))
    }
}

fn own_disks(scene: &Scene) -> Vec<String> {
    if facts::is_container(&scene.layout) {
        return Vec::new();
    }
    let entries = fs::read_dir(scene.layout.at("/sys/block"))
        .into_iter()
        .flatten()
        .flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.retain(|name| {
        let is_disk = ["sd", "hd", "nvme"].iter().any(|kind| name.starts_with(kind));
        let about = |file: &str| {
            let text = scene.text(&format!("/sys/block/{name}/device/{file}"));
            text.unwrap_or_default()
        };
        let maker = format!("{} {}", about("vendor"), about("model"));
        is_disk && !VIRTUAL.iter().any(|virtual_maker| maker.contains(virtual_maker))
    });
    names.sort();
    names.truncate(MOST);
    names
}

/// What `smartctl` says about a disk; nothing where that is no JSON. A disk that sleeps is not woken.
fn ask(scene: &Scene, name: &str) -> Value {
    let device = format!("/dev/{name}");
    let argv = [
        "smartctl",
        "--json",
        "--info",
        "--health",
        "--attributes",
        "--nocheck=standby",
        &device,
    ];
    let program = Program::new(argv).timeout(scene.time_for(Duration::from_secs(20)));
    // Its exit code is a set of signs that all stand in the JSON, too.
    let finished = program.run(&mut |_| ());
    finished
        .ok()
        .and_then(|finished| serde_json::from_slice(&finished.stdout).ok())
        .unwrap_or_default()
}

impl Disk {
    fn read(name: String, answer: &Value) -> Disk {
        let number = |pointer: &str| answer.pointer(pointer).and_then(Value::as_u64);
        let table = answer
            .pointer("/ata_smart_attributes/table")
            .and_then(Value::as_array);
        let attribute = |id: u64| {
            let rows = table.into_iter().flatten();
            let mut rows = rows.filter(|row| row.get("id").and_then(Value::as_u64) == Some(id));
            rows.next()?.pointer("/raw/value")?.as_u64()
        };
        let model = answer
            .get("model_name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Disk {
            name,
            model: model
                .chars()
                .filter(|character| !character.is_control())
                .take(80)
                .collect(),
            passed: answer.pointer("/smart_status/passed").and_then(Value::as_bool),
            reallocated: attribute(5),
            pending: attribute(197),
            lost: attribute(198).or_else(|| number("/nvme_smart_health_information_log/media_errors")),
            worn: number("/nvme_smart_health_information_log/percentage_used"),
            temperature: answer.pointer("/temperature/current").and_then(Value::as_i64),
            hours: number("/power_on_time/hours"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_smartctl_says_is_understood() {
        let sata = serde_json::json!({
            "model_name": "WDC WD40", "smart_status": { "passed": true }, "temperature": { "current": 31 },
            "power_on_time": { "hours": 40_000 },
            "ata_smart_attributes": { "table": [
                { "id": 5, "raw": { "value": 8 } }, { "id": 197, "raw": { "value": 2 } }, { "id": 198, "raw": { "value": 1 } },
            ] },
        });
        let disk = Disk::read("sda".to_owned(), &sata);
        assert_eq!(
            (disk.reallocated, disk.pending, disk.lost, disk.worn),
            (Some(8), Some(2), Some(1), None)
        );
        assert_eq!(
            (disk.passed, disk.temperature, disk.hours),
            (Some(true), Some(31), Some(40_000))
        );
        let nvme = serde_json::json!({
            "smart_status": { "passed": false },
            "nvme_smart_health_information_log": { "percentage_used": 104, "media_errors": 3 },
        });
        let disk = Disk::read("nvme0n1".to_owned(), &nvme);
        assert_eq!(
            (disk.passed, disk.worn, disk.lost),
            (Some(false), Some(104), Some(3))
        );
        for odd in [
            serde_json::json!([1]),
            serde_json::json!({ "ata_smart_attributes": { "table": [1, { "id": 5 }] } }),
        ] {
            assert_eq!(Disk::read(String::new(), &odd), Disk::default());
        }
    }
}
