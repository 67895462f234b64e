//! Archives that are good, and archives that must not be unpacked.

use std::io::Write;
use std::os::unix::fs::MetadataExt;

use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::*;
use crate::host::Intent;
use crate::layout::Layout;
use crate::resources::difference::tests::Bench;

fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o4755);
    header.set_mtime(1_700_000_000);
    header.set_size(size);
    header
}

/// Writes the name as it is: the builder would refuse the bad ones.
fn raw(builder: &mut Builder<Vec<u8>>, kind: EntryType, name: &str, link: &str, content: &[u8]) {
    let mut header = header(kind, content.len() as u64);
    if let Some(gnu) = header.as_gnu_mut() {
        gnu.name[..name.len()].copy_from_slice(name.as_bytes());
        gnu.linkname[..link.len()].copy_from_slice(link.as_bytes());
    }
    header.set_cksum();
    builder.append(&header, content).expect("appends");
}

fn file(builder: &mut Builder<Vec<u8>>, name: &str, content: &str) {
    raw(builder, EntryType::Regular, name, "", content.as_bytes());
}

fn link(builder: &mut Builder<Vec<u8>>, name: &str, target: &str) {
    raw(builder, EntryType::Symlink, name, target, b"");
}

/// Makes an archive a blob of the host.
fn blob(bench: &Bench, bytes: &[u8]) -> ArchiveSpec {
    let sha256: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let folder = Layout::below(bench.at("/")).blobs();
    fs::create_dir_all(&folder).expect("makes");
    fs::write(folder.join(&sha256), bytes).expect("writes");
    ArchiveSpec {
        path: "/srv/app".to_owned(),
        sha256,
        strip: 1,
        owner: "root".to_owned(),
        group: "root".to_owned(),
    }
}

fn archive(build: impl FnOnce(&mut Builder<Vec<u8>>)) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    build(&mut builder);
    builder.into_inner().expect("finishes")
}

fn good() -> Vec<u8> {
    let long = format!("app/{}/deep", "d".repeat(120));
    archive(|builder| {
        raw(builder, EntryType::Directory, "app/", "", b"");
        file(builder, "app/index", "one");
        raw(builder, EntryType::Directory, "app/bin", "", b"");
        link(builder, "app/bin/run", "../index");
        raw(builder, EntryType::Link, "app/hard", "app/index", b"");
        let mut header = header(EntryType::Regular, 4);
        builder
            .append_data(&mut header, &long, &b"long"[..])
            .expect("appends");
        file(builder, "app/index", "two");
    })
}

fn hidden(bench: &Bench) -> Vec<String> {
    let entries = fs::read_dir(bench.at("/srv")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_tree_appears_whole_and_is_replaced_whole() {
    let bench = Bench::new();
    let first = blob(&bench, &good());
    bench.settles(&first);
    assert_eq!(
        (
            bench.read("/srv/app/index").as_str(),
            bench.read("/srv/app/hard").as_str()
        ),
        ("two", "one")
    );
    assert_eq!(bench.read("/srv/app/bin/run"), "two");
    assert_eq!(bench.mode("/srv/app/index"), 0o755);
    assert_eq!(
        fs::metadata(bench.at("/srv/app/index"))
            .expect("is there")
            .mtime(),
        1_700_000_000
    );
    assert_eq!(bench.read(&format!("/srv/app/{}/deep", "d".repeat(120))), "long");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&archive(|builder| file(builder, "x/new", "new")))
        .expect("writes");
    let second = blob(&bench, &gzip.finish().expect("finishes"));
    let difference = bench.settles(&second).expect("differs");
    assert!(
        difference.described().contains(first.short()),
        "{}",
        difference.described()
    );
    assert!(bench.at("/srv/app/new").exists() && !bench.at("/srv/app/index").exists());
    assert_eq!(hidden(&bench), [".app.allmende-archive", "app"]);
}

#[test]
fn bzip2_and_plain_archives_are_known_by_their_first_bytes() {
    let bench = Bench::new();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&good()).expect("writes");
    bench.settles(&blob(&bench, &bzip2.finish().expect("finishes")));
    assert!(
        bench
            .fails(&blob(&bench, b"PK\x03\x04zip"))
            .contains("a zip file")
    );
    assert!(
        bench
            .fails(&blob(
                &bench,
                b"no archive at all, but long enough to be read as something"
            ))
            .contains("damaged")
    );
    assert!(bench.fails(&blob(&bench, b"")).contains("holds nothing"));
}

#[test]
fn what_vanished_from_the_top_is_noticed() {
    let bench = Bench::new();
    let spec = blob(&bench, &good());
    bench.settles(&spec);
    fs::remove_file(bench.at("/srv/app/index")).expect("removes");
    assert_eq!(
        bench.plans(&spec).expect("differs").described(),
        format!("archive is without index and not {}", spec.short())
    );
    bench.settles(&spec);
    assert!(bench.at("/srv/app/index").exists());
}

#[test]
fn strangers_are_set_aside_and_never_removed() {
    let bench = Bench::new();
    bench.write("/srv/app/precious", "precious");
    let spec = blob(&bench, &good());
    let difference = bench.settles(&spec).expect("differs");
    assert!(
        difference
            .described()
            .contains("kept in /srv/app.before-allmende")
    );
    assert_eq!(bench.read("/srv/app.before-allmende/precious"), "precious");
    fs::remove_file(bench.at("/srv/.app.allmende-archive")).expect("removes");
    assert!(bench.fails(&spec).contains("/srv/app.before-allmende is taken"));
    assert!(bench.at("/srv/app/index").exists());
}

#[test]
fn leftovers_of_a_killed_unpacking_go() {
    let bench = Bench::new();
    bench.write("/srv/.allmende-new-app/half", "half");
    bench.settles(&blob(&bench, &good()));
    assert_eq!(hidden(&bench), [".app.allmende-archive", "app"]);
}

type Bad = fn(&mut Builder<Vec<u8>>);

#[test]
fn archives_that_would_leave_their_tree_are_refused_before_anything_is_written() {
    let cases: [(&str, Bad); 14] = [
        ("a/../../x leads out", |b| file(b, "a/../../x", "")),
        ("/etc/x has an absolute name", |b| file(b, "/etc/x", "")),
        ("l is a link to an absolute path", |b| {
            link(b, "a/l", "/etc/passwd")
        }),
        ("l is a link that leads out", |b| link(b, "a/l", "../x")),
        ("d/l is a link that leads out", |b| link(b, "a/d/l", "../../x")),
        ("l is a link that goes down and up again", |b| {
            link(b, "a/l", "d/../../x")
        }),
        ("l/x lies below something that is no directory", |b| {
            link(b, "a/l", "d");
            file(b, "a/l/x", "");
        }),
        ("l is there twice, as different things", |b| {
            file(b, "a/l/x", "");
            link(b, "a/l", "d");
        }),
        ("h is a hard link to something that is no file", |b| {
            raw(b, EntryType::Link, "a/h", "a/none", b"")
        }),
        ("a/h leads out of its directory", |b| {
            raw(b, EntryType::Link, "a/h", "a/../../etc/passwd", b"")
        }),
        ("a/p is a device or a pipe", |b| {
            raw(b, EntryType::Fifo, "a/p", "", b"")
        }),
        ("a/c is a device or a pipe", |b| {
            raw(b, EntryType::Char, "a/c", "", b"")
        }),
        ("a/s is a sparse file", |b| {
            raw(b, EntryType::GNUSparse, "a/s", "", b"")
        }),
        ("is a sparse file", |b| {
            raw(b, EntryType::XHeader, "x", "", b"22 GNU.sparse.major=1\n")
        }),
    ];
    for (expected, build) in cases {
        let bench = Bench::new();
        let bytes = archive(|builder| {
            file(builder, "a/first", "must not be written");
            build(builder);
        });
        let error = bench.fails(&blob(&bench, &bytes));
        assert!(error.contains(expected), "{expected}: {error}");
        assert_eq!(hidden(&bench), Vec::<String>::new(), "{expected}");
    }
}

#[test]
fn archives_that_are_cut_are_refused() {
    let bytes = good();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&bytes).expect("writes");
    let gzip = gzip.finish().expect("finishes");
    for cut in [
        &bytes[..600],
        &bytes[..1100],
        &gzip[..gzip.len() / 2],
        &gzip[..12],
    ] {
        let bench = Bench::new();
        let error = bench.fails(&blob(&bench, cut));
        assert!(error.contains("damaged"), "{error}");
        assert_eq!(hidden(&bench), Vec::<String>::new());
    }
}

#[test]
fn an_extended_header_of_gigabytes_is_not_read() {
    let bench = Bench::new();
    let bytes = archive(|builder| {
        let mut header = header(EntryType::GNULongName, 4 << 30);
        header.set_cksum();
        builder.append(&header, &b"x"[..]).expect("appends");
    });
    assert!(
        bench
            .fails(&blob(&bench, &bytes))
            .contains("larger than any name")
    );
}

#[test]
fn the_blob_is_needed_only_when_something_has_to_be_unpacked() {
    let bench = Bench::new();
    let spec = blob(&bench, &good());
    bench.settles(&spec);
    fs::remove_dir_all(Layout::below(bench.at("/")).blobs()).expect("removes");
    assert!(!spec.lacks_blob(&mut bench.host(Intent::Apply)));
    fs::remove_dir_all(bench.at("/srv/app")).expect("removes");
    assert!(spec.lacks_blob(&mut bench.host(Intent::Apply)));
    assert!(bench.fails(&spec).contains("not on this host"));
}
