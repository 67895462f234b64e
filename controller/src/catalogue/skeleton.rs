//! The beginning of a new service template.

use std::path::{Path, PathBuf};

use include_dir::{Dir, DirEntry, include_dir};

use super::error::CatalogueError;
use crate::model::Name;

/// A small service that works, for authors to change into theirs.
static SKELETON: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../templates/skeleton");

/// What the skeleton is called.
const PLACEHOLDER: &str = "my-service";

/// Writes a new template into a folder that does not exist yet, and says where it is.
///
/// # Errors
/// When the folder is there already, or cannot be written.
pub fn write_skeleton(name: &Name, into: &Path) -> Result<PathBuf, CatalogueError> {
    let root = into.join(name.as_str());
    let failed = |path: &Path, source| CatalogueError::Unwritable {
        path: path.to_owned(),
        source,
    };
    std::fs::create_dir_all(into).map_err(|source| failed(into, source))?;
    std::fs::create_dir(&root).map_err(|source| failed(&root, source))?;
    let mut open: Vec<&DirEntry<'_>> = SKELETON.entries().iter().collect();
    while let Some(entry) = open.pop() {
        let path = root.join(entry.path());
        match entry {
            DirEntry::Dir(folder) => {
                std::fs::create_dir_all(&path).map_err(|source| failed(&path, source))?;
                open.extend(folder.entries());
            }
            DirEntry::File(file) => {
                let text = String::from_utf8_lossy(file.contents()).replace(PLACEHOLDER, name.as_str());
                std::fs::write(&path, text).map_err(|source| failed(&path, source))?;
            }
        }
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Catalogue, lint};

    #[test]
    fn a_new_template_is_right_and_overwrites_nothing() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let name: Name = "noticeboard".parse().expect("a name");
        write_skeleton(&name, folder.path()).expect("writes");
        let catalogue = Catalogue::load(&[folder.path().to_owned()]).expect("loads");
        let template = catalogue.get("noticeboard").expect("is there");
        assert_eq!(lint(&catalogue, template), []);
        let again = write_skeleton(&name, folder.path()).expect_err("is there");
        assert!(again.to_string().contains("noticeboard"), "{again}");
    }
}
