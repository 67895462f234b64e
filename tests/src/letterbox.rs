//! A web hook of the test's own: takes what Allmende tells people, and keeps it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// Listens on loopback as long as the test runs.
pub struct Letterbox {
    address: String,
    letters: Arc<Mutex<Vec<Value>>>,
}

impl Letterbox {
    /// Begins to listen.
    pub fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = format!("http://{}/", listener.local_addr().expect("an address"));
        let letters = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&letters);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Some(letter) = taken(stream) {
                    kept.lock().expect("whole").push(letter);
                }
            }
        });
        Self { address, letters }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What was told so far of each incident, in order: the check, and `opened`, `recovered` …
    pub fn told(&self) -> Vec<(String, String)> {
        let letters = self.letters.lock().expect("whole");
        let incidents = letters
            .iter()
            .flat_map(|letter| letter["incidents"].as_array().cloned().unwrap_or_default());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        incidents
            .map(|incident| (text(&incident["title"]["en"]), text(&incident["kind"])))
            .collect()
    }
}

/// Reads one request and says yes.
fn taken(stream: TcpStream) -> Option<Value> {
    const LONGEST: usize = 1 << 20;
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok().filter(|length| *length <= LONGEST)?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
    reader.get_mut().write_all(answer).ok()?;
    serde_json::from_slice(&body).ok()
}
