//! Tests of the translation of package sources; the archives here are examples and do not exist.

use super::*;

fn debian() -> Machine {
    Machine::parse("ID=debian\nVERSION_CODENAME=bookworm\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n")
}

const DEB822: &str = "# a comment\nTypes: deb deb-src\nURIs: http://mirror.example/debian\n# between\nSuites: bookworm bookworm-updates bookworm-backports\n\
    Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
    Types: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\nComponents: main contrib\n\n\
    Types: deb\nURIs: https://other.example/node\nSuites: nodistro\nComponents: main\n\n\
    Enabled: no\nTypes: deb\nURIs: http://off.example/\nSuites: bookworm\nComponents: main\n\n\
    Types: deb\nURIs: https://container.example/linux/debian\nSuites: bookworm\nComponents: stable\n";

#[test]
fn only_debians_own_suites_are_taken_over() {
    let translated = translate(&parse_deb822(DEB822), &debian(), RELEASES[0]).unwrap();
    assert_eq!(
        render(&translated),
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie trixie-updates\nComponents: main\n\
         Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
         Types: deb\nURIs: http://mirror.example/debian-security\nSuites: trixie-security\nComponents: main contrib\n"
    );
    assert_eq!(
        files(&translated),
        [PathBuf::from("/usr/share/keyrings/debian-archive-keyring.gpg")]
    );
}

#[test]
fn one_line_sources_become_stanzas() {
    let text = "deb [arch=amd64 signed-by=/k/a.gpg,/k/b.gpg] http://mirror.example/debian bookworm main contrib # why\n\
                # deb http://off.example bookworm main\ndeb-src http://mirror.example/debian bookworm main\n\
                debug nonsense\ndeb [broken http://x y\ndeb cdrom:[x]/ bookworm main\n";
    let translated = translate(&parse_list(text), &debian(), RELEASES[1]).unwrap();
    assert_eq!(
        render(&translated),
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main contrib\nSigned-By: /k/a.gpg /k/b.gpg\n"
    );
}

#[test]
fn a_key_inside_the_entry_is_kept() {
    let text = "Types: deb\nURIs: http://m.example/debian\nSuites: bookworm\nComponents: main\nSigned-By:\n -----BEGIN\n .\n abc\n -----END\n";
    let translated = translate(&parse_deb822(text), &debian(), RELEASES[1]).unwrap();
    assert!(render(&translated).ends_with("Signed-By: \n -----BEGIN\n .\n abc\n -----END\n"));
    assert_eq!(files(&translated), Vec::<PathBuf>::new());
}

#[test]
fn a_machine_that_is_no_debian_is_told_so() {
    let ubuntu = Machine::parse("ID=ubuntu\nVERSION_CODENAME=noble\nPRETTY_NAME=\"Ubuntu 24.04 LTS\"\n");
    let error = translate(&parse_deb822(DEB822), &ubuntu, RELEASES[0])
        .unwrap_err()
        .to_string();
    assert!(error.contains("Ubuntu 24.04"), "{error}");
    assert!(
        translate(&[], &Machine::default(), RELEASES[0])
            .unwrap_err()
            .to_string()
            .contains("unknown system")
    );
}

#[test]
fn a_machine_without_a_usable_archive_is_told_what_to_add() {
    let only_files = parse_list("deb file:/srv/mirror bookworm main\n");
    let error = translate(&only_files, &debian(), RELEASES[0])
        .unwrap_err()
        .to_string();
    assert!(error.contains("debian.sources"), "{error}");
}

#[test]
fn archives_of_others_in_debians_clothes_are_left_out() {
    let sources = parse_list(
        "deb http://m.example/debian bookworm main\ndeb http://php.example/php/ bookworm main\ndeb http://new.example/x bookworm main\n",
    );
    let origins = "http://m.example/debian/ Debian\nhttp://php.example/php/ deb.php.example\n";
    let kept: Vec<String> = only_debian(sources, origins)
        .into_iter()
        .flat_map(|s| s.uris)
        .collect();
    assert_eq!(kept, ["http://m.example/debian", "http://new.example/x"]);
}

#[test]
fn a_list_of_mirrors_is_copied_too() {
    let sources = parse_deb822(
        "Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSuites: bookworm\nComponents: main\n",
    );
    assert_eq!(files(&sources), [PathBuf::from("/etc/apt/mirrors/debian.list")]);
}

#[test]
fn only_settings_that_reach_the_archive_are_copied() {
    let dump = "Acquire \"\";\nAcquire::Check-Valid-Until \"false\";\nAcquire::http \"\";\nAcquire::http::Proxy \"http://127.0.0.1:3142\";\n\
                Acquire::http::Proxy-Auto-Detect \"/usr/bin/x\";\nAcquire::Languages \"none\";\nDPkg::Post-Invoke:: \"rm\";\n\
                Acquire::IndexTargets::deb::x \"y\";\n";
    let kept = settings(dump);
    assert_eq!(
        kept,
        "Acquire::Check-Valid-Until \"false\";\nAcquire::http::Proxy \"http://127.0.0.1:3142\";\n"
    );
    assert!(
        reachable(&kept, "10.1.2.1")
            .unwrap()
            .contains("http://10.1.2.1:3142")
    );
    assert_eq!(reachable("Acquire::Check-Date \"false\";\n", "10.1.2.1"), None);
}

#[test]
fn releases_go_by_number_and_name() {
    assert_eq!(Release::parse("12"), Release::parse("bookworm"));
    assert_eq!(Release::parse("13").map(|r| r.codename), Some("trixie"));
    assert_eq!(Release::parse("11"), None);
}
