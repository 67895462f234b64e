//! The layers of the house, held against its imports: they point down, never up, never sideways between faces.

use std::fs;
use std::path::{Path, PathBuf};

/// From the top down; rooms of one floor may not import one another unless listed behind them.
const FLOORS: [&[&str]; 7] = [
    &["cli"],
    &["server"],
    &["operations"],
    &["provision", "backup", "lab", "health", "notify"],
    &["fleet", "vault", "catalogue"],
    &["store", "settings"],
    &["model"],
];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn imports_point_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut looked_at = 0;
    for file in files {
        let inside = file.strip_prefix(&root).expect("below the sources");
        let room = inside
            .iter()
            .next()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let room = room.trim_end_matches(".rs");
        let Some(own) = floor(room) else { continue };
        let text = fs::read_to_string(&file).expect("readable");
        for (place, _) in text.match_indices("crate::") {
            let rest = &text[place + "crate::".len()..];
            let name: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let Some(other) = floor(&name) else { continue };
            looked_at += 1;
            assert!(
                name == room || other > own,
                "{} imports crate::{name}, which is not below {room}",
                inside.display()
            );
        }
    }
    assert!(looked_at > 100, "only {looked_at} imports were found");
}
