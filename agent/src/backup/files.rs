//! Files as a backup finds them: whether its paths are there, how many files, and the hashes of some of them.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::blobs::sha256_of_file;
use crate::layout::Layout;
use crate::protocol::{Complaint, FilesFound, HashedFile, ProofOrder};

/// What may be hashed for one proof, in bytes: it must not take longer than the backup.
const HASHED: u64 = 64 * 1024 * 1024;

/// The paths of a backup, looked at before anything is read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Those that are there.
    pub(super) paths: Vec<String>,
    /// Those of them that are file systems of their own.
    pub(super) mount_points: Vec<String>,
    pub(super) complaints: Vec<Complaint>,
}

/// Looks whether the paths are there, and whether mounted if they were.
pub(super) fn look_at(layout: &Layout, paths: &[String], were_mounted: &[String]) -> Found {
    let mut found = Found::default();
    for path in paths {
        let place = layout.at(path);
        let Ok(metadata) = fs::symlink_metadata(&place) else {
            found.complaints.push(Complaint::Missing { path: path.clone() });
            continue;
        };
        found.paths.push(path.clone());
        if metadata.is_symlink() {
            found.complaints.push(Complaint::Link { path: path.clone() });
        }
        if is_mount_point(&place) {
            found.mount_points.push(path.clone());
        } else if were_mounted.contains(path) {
            found
                .complaints
                .push(Complaint::NotMounted { path: path.clone() });
            // Remembered while nothing is there, so that the next backup complains as well. Data that are there were moved.
            if fs::read_dir(&place).is_ok_and(|mut entries| entries.next().is_none()) {
                found.mount_points.push(path.clone());
            }
        }
    }
    found
}

fn is_mount_point(path: &Path) -> bool {
    let device = |path: &Path| fs::symlink_metadata(path).map(|found| found.dev()).ok();
    match path.parent() {
        Some(parent) => device(path) != device(parent),
        None => true,
    }
}

/// How many files there are, and a random sample of them that is hashed once the backup has read them.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) files: Vec<FilesFound>,
    pub(super) complaints: Vec<Complaint>,
    sample: Vec<Candidate>,
}

/// A file that may become part of the sample.
#[derive(Debug)]
struct Candidate {
    path: PathBuf,
    shown: String,
    state: State,
}

/// What changes whenever a file does.
#[derive(Debug, PartialEq, Eq)]
struct State {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl From<&Metadata> for State {
    fn from(found: &Metadata) -> State {
        State {
            inode: found.ino(),
            size: found.size(),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

impl Survey {
    /// Walks through all files of the proof.
    pub(super) fn take(layout: &Layout, order: &ProofOrder) -> Survey {
        let mut survey = Survey::default();
        let mut dice = Dice::new();
        let mut seen: u64 = 0;
        for wanted in &order.files {
            let mut found = FilesFound {
                path: wanted.path.clone(),
                files: 0,
                bytes: 0,
            };
            walk(
                &layout.at(&wanted.path),
                layout,
                &order.exclude,
                &mut |path, shown, metadata| {
                    found.files += 1;
                    found.bytes += metadata.size();
                    seen += 1;
                    let place = match usize::try_from(dice.below(seen)) {
                        _ if survey.sample.len() < order.sample as usize => survey.sample.len(),
                        Ok(place) if place < survey.sample.len() => place,
                        _ => return,
                    };
                    let candidate = Candidate {
                        path: path.to_owned(),
                        shown,
                        state: State::from(metadata),
                    };
                    match survey.sample.get_mut(place) {
                        Some(former) => *former = candidate,
                        None => survey.sample.push(candidate),
                    }
                },
            );
            if found.files < wanted.minimum {
                survey.complaints.push(Complaint::TooFew {
                    path: wanted.path.clone(),
                    found: found.files,
                    minimum: wanted.minimum,
                });
            }
            survey.files.push(found);
        }
        survey
    }

    /// Hashes those of the sample that are as they were, the small ones first.
    pub(super) fn hash(mut self) -> Vec<HashedFile> {
        self.sample.sort_by_key(|candidate| candidate.state.size);
        let mut left = HASHED;
        let mut hashed = Vec::new();
        for candidate in self.sample {
            let Some(rest) = left.checked_sub(candidate.state.size) else {
                break;
            };
            if let Some(sha256) = candidate.hash() {
                left = rest;
                hashed.push(HashedFile {
                    path: candidate.shown,
                    size: candidate.state.size,
                    sha256,
                });
            }
        }
        hashed.sort_by(|one, other| one.path.cmp(&other.path));
        hashed
    }
}

impl Candidate {
    /// Its hash, unless it is another one by now.
    fn hash(&self) -> Option<String> {
        let mut file = File::options()
            .read(true)
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
            .open(&self.path)
            .ok()?;
        let hash = sha256_of_file(&mut file).ok()?;
        let state = State::from(&file.metadata().ok()?);
        (state == self.state).then_some(hash)
    }
}

/// Visits every regular file at or below a path whose name is text, but what is excluded.
fn walk(path: &Path, layout: &Layout, exclude: &[String], visit: &mut dyn FnMut(&Path, String, &Metadata)) {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return;
    };
    let Some(shown) = path
        .strip_prefix(layout.root())
        .ok()
        .and_then(Path::to_str)
        .map(|inner| format!("/{inner}"))
    else {
        return;
    };
    if exclude.iter().any(|pattern| fits(pattern, &shown)) {
        return;
    }
    if metadata.is_file() {
        visit(path, shown, &metadata);
    } else if metadata.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            walk(&entry.path(), layout, exclude, visit);
        }
    }
}

/// Whether a path is what an absolute pattern stands for: in each of its names, `*` is any text.
fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path) = (pattern.split('/'), path.split('/'));
    pattern.clone().count() == path.clone().count()
        && pattern.zip(path).all(|(pattern, name)| name_fits(pattern, name))
}

fn name_fits(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(rest) = name.strip_prefix(before) else {
        return false;
    };
    (0..=rest.len())
        .filter_map(|at| rest.get(at..))
        .any(|end| name_fits(after, end))
}

/// Good enough to choose files: nobody gains by foreseeing it, because what it chooses is only looked at.
struct Dice(u64);

impl Dice {
    fn new() -> Dice {
        use std::hash::{BuildHasher, RandomState};
        Dice(RandomState::new().hash_one(0) | 1)
    }

    /// A number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::FilesOrder;

    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Layout) {
        let root = tempfile::tempdir().expect("temporary directory");
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("has one")).expect("makes");
            fs::write(path, content).expect("writes");
        }
        let layout = Layout::below(root.path());
        (root, layout)
    }

    fn order(minimum: u64, sample: u32) -> ProofOrder {
        ProofOrder {
            files: vec![FilesOrder {
                path: "/srv/x".to_owned(),
                minimum,
            }],
            exclude: vec!["/srv/x/cache*".to_owned()],
            sample,
            ..ProofOrder::default()
        }
    }

    #[test]
    fn a_disk_that_stays_away_is_told_each_time() {
        let (root, layout) = host(&[]);
        fs::create_dir_all(root.path().join("srv/disk")).expect("made");
        let path = "/srv/disk".to_owned();
        let mut known = vec![path.clone()];
        for _ in 0..3 {
            let found = look_at(&layout, std::slice::from_ref(&path), &known);
            assert_eq!(found.complaints, [Complaint::NotMounted { path: path.clone() }]);
            known = found.mount_points;
        }
        fs::write(root.path().join("srv/disk/moved"), "here").expect("written");
        assert!(
            look_at(&layout, std::slice::from_ref(&path), &known)
                .mount_points
                .is_empty()
        );
    }

    #[test]
    fn a_path_that_is_a_link_is_told() {
        let (root, layout) = host(&[("mnt/x/a", "")]);
        std::os::unix::fs::symlink("/mnt/x", root.path().join("x")).expect("made");
        let found = look_at(&layout, &["/x".to_owned()], &[]);
        assert_eq!(
            found.complaints,
            [Complaint::Link {
                path: "/x".to_owned()
            }]
        );
    }

    #[test]
    fn missing_and_unmounted_paths_are_named() {
        let (_root, layout) = host(&[("srv/x/a", "")]);
        let paths = ["/srv/x".to_owned(), "/srv/y".to_owned()];
        let found = look_at(&layout, &paths, &["/srv/x".to_owned()]);
        assert_eq!(found.paths, ["/srv/x"]);
        assert_eq!(
            found.complaints,
            [
                Complaint::NotMounted {
                    path: "/srv/x".to_owned()
                },
                Complaint::Missing {
                    path: "/srv/y".to_owned()
                },
            ]
        );
        assert!(is_mount_point(Path::new("/proc")));
    }

    #[test]
    fn files_are_counted_without_what_is_excluded_and_links() {
        let (root, layout) = host(&[("srv/x/a", "1"), ("srv/x/b/c", "22"), ("srv/x/cache1/d", "333")]);
        std::os::unix::fs::symlink("a", root.path().join("srv/x/link")).expect("links");
        let survey = Survey::take(&layout, &order(3, 5));
        let [found] = survey.files.as_slice() else {
            panic!()
        };
        assert_eq!((found.files, found.bytes), (2, 3));
        assert!(matches!(
            survey.complaints.as_slice(),
            [Complaint::TooFew {
                found: 2,
                minimum: 3,
                ..
            }]
        ));
    }

    #[test]
    fn what_changes_while_the_backup_runs_is_not_in_the_sample() {
        let (root, layout) = host(&[("srv/x/a", "abc"), ("srv/x/b", "22"), ("srv/x/c", "333")]);
        let survey = Survey::take(&layout, &order(1, 5));
        assert_eq!(survey.complaints, []);
        fs::write(root.path().join("srv/x/b"), "23").expect("writes");
        fs::remove_file(root.path().join("srv/x/c")).expect("removes");
        let hashed = survey.hash();
        assert_eq!(
            hashed,
            [HashedFile {
                path: "/srv/x/a".to_owned(),
                size: 3,
                sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned(),
            }]
        );
    }

    #[test]
    fn a_sample_has_its_size_and_is_not_always_the_same() {
        let names: Vec<String> = (0..50).map(|number| format!("srv/x/{number}")).collect();
        let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
        let (_root, layout) = host(&files);
        let sample = || Survey::take(&layout, &order(1, 10)).hash();
        let first = sample();
        assert_eq!(first.len(), 10);
        assert!((0..20).any(|_| sample() != first));
    }

    #[test]
    fn a_star_stays_in_its_name() {
        assert!(fits("/srv/x/*.log", "/srv/x/a.log"));
        assert!(fits("/srv/*/c*e", "/srv/x/cache"));
        assert!(!fits("/srv/x/*", "/srv/x/a/b"));
        assert!(!fits("/srv/x", "/srv/y"));
    }
}
