//! What names and paths may look like. Checked before anything is touched, because they end up in argument lists,
//! file names and SQL.

use std::collections::BTreeMap;

/// Why a name is refused, as the end of a sentence.
pub(crate) type Verdict = Result<(), String>;

fn all(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    text.chars().all(allowed)
}

fn starts(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    text.chars().next().is_some_and(allowed)
}

fn refuse(what: &str, text: &str, rule: &str) -> Verdict {
    let shown: String = text.chars().take(80).collect();
    Err(format!("{shown:?} is no {what}: {rule}"))
}

/// An absolute, normalised path of something inside a directory.
pub(crate) fn path(text: &str) -> Verdict {
    let rule = "it must be absolute, without \"..\", \".\", \"//\", a slash at its end or control characters";
    let Some(inner) = text.strip_prefix('/') else {
        return refuse("path", text, rule);
    };
    if text.len() > 4000 || text.chars().any(char::is_control) {
        return refuse("path", text, rule);
    }
    if inner
        .split('/')
        .any(|part| part.is_empty() || part == "." || part == ".." || part.len() > 255)
    {
        return refuse("path", text, rule);
    }
    Ok(())
}

/// A Unix user or group.
pub(crate) fn account(text: &str) -> Verdict {
    let good = starts(text, |first| first.is_ascii_lowercase() || first == '_')
        && all(text, |other| {
            other.is_ascii_lowercase() || other.is_ascii_digit() || "_-".contains(other)
        })
        && text.len() <= 32;
    if good {
        return Ok(());
    }
    refuse(
        "user or group name",
        text,
        "it starts with a-z or _, goes on with a-z, 0-9, _ and -, and has at most 32 characters",
    )
}

/// A systemd unit with its suffix.
pub(crate) fn unit(text: &str) -> Verdict {
    const SUFFIXES: [&str; 9] = [
        "service",
        "socket",
        "timer",
        "target",
        "path",
        "mount",
        "automount",
        "swap",
        "slice",
    ];
    let good = text.rsplit_once('.').is_some_and(|(name, suffix)| {
        SUFFIXES.contains(&suffix)
            && starts(name, |first| first.is_ascii_alphanumeric() || first == '_')
            && all(name, |other| {
                other.is_ascii_alphanumeric() || ":_.\\@-".contains(other)
            })
            && !name.ends_with('@')
    });
    if good && text.len() <= 255 {
        return Ok(());
    }
    refuse(
        "unit",
        text,
        "it is written with its suffix (nginx.service) and, for a template, its instance (backup@daily.timer)",
    )
}

/// A Debian package.
pub(crate) fn package(text: &str) -> Verdict {
    let good = starts(text, |first| first.is_ascii_lowercase() || first.is_ascii_digit())
        && all(text, |other| other.is_ascii_lowercase() || other.is_ascii_digit() || "+.-".contains(other))
        // apt reads a sign at the end as "install" or "remove"; names that really end with + (g++) are known to it.
        && !text.ends_with('-')
        && (2..=128).contains(&text.len());
    if good {
        return Ok(());
    }
    refuse("package name", text, "a-z, 0-9, +, . and - are allowed")
}

/// A role or database of PostgreSQL.
pub(crate) fn postgres(text: &str) -> Verdict {
    const OWN: [&str; 5] = ["postgres", "template0", "template1", "public", "none"];
    database(
        text,
        "role",
        "PostgreSQL",
        text.starts_with("pg_") || OWN.contains(&text),
    )
}

/// A user or database of MariaDB.
pub(crate) fn mariadb(text: &str) -> Verdict {
    const OWN: [&str; 7] = [
        "root",
        "mysql",
        "public",
        "none",
        "sys",
        "information_schema",
        "performance_schema",
    ];
    database(text, "user", "MariaDB", OWN.contains(&text))
}

fn database(text: &str, account: &str, server: &str, own: bool) -> Verdict {
    let good = starts(text, |first| first.is_ascii_lowercase() || first == '_')
        && all(text, |other| {
            other.is_ascii_lowercase() || other.is_ascii_digit() || "_-".contains(other)
        })
        && !own
        && text.len() <= 63;
    if good {
        return Ok(());
    }
    refuse(
        &format!("name for a {account} or database"),
        text,
        &format!(
            "it starts with a-z or _, goes on with a-z, 0-9, _ and -, has at most 63 characters, and is not {server}'s own"
        ),
    )
}

/// A name that is safe as a file name: of a section, a drop-in, a run.
pub(crate) fn file_name(text: &str) -> Verdict {
    let good = starts(text, |first| first.is_ascii_alphanumeric() || first == '_')
        && all(text, |other| {
            other.is_ascii_alphanumeric() || "_.@-".contains(other)
        })
        && text.len() <= 100;
    if good {
        return Ok(());
    }
    refuse(
        "name",
        text,
        "letters, digits, _, ., @ and - are allowed, at most 100",
    )
}

/// The name of a run: letters, digits and `-`.
pub(crate) fn run(text: &str) -> Verdict {
    let good = starts(text, |first| first.is_ascii_alphanumeric())
        && all(text, |other| other.is_ascii_alphanumeric() || other == '-')
        && text.len() <= 100;
    if good {
        Ok(())
    } else {
        refuse(
            "name of a run",
            text,
            "letters, digits and - are allowed, at most 100",
        )
    }
}

/// SHA-256 in lower-case hex.
pub(crate) fn sha256(text: &str) -> Verdict {
    let good = text.len() == 64
        && all(text, |other| {
            other.is_ascii_digit() || ('a'..='f').contains(&other)
        });
    if good {
        Ok(())
    } else {
        refuse("SHA-256", text, "it has 64 digits 0-9 a-f")
    }
}

/// Permission bits in octal.
pub(crate) fn mode(text: &str) -> Result<u32, String> {
    let good = (3..=4).contains(&text.len()) && all(text, |other| ('0'..='7').contains(&other));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if good => Ok(mode),
        _ => refuse("mode", text, "it has three or four digits 0-7").map(|()| 0),
    }
}

/// A program and its arguments.
pub(crate) fn argv(argv: &[String]) -> Verdict {
    let Some(program) = argv.first().filter(|program| !program.is_empty()) else {
        return Err("a command names no program".to_owned());
    };
    if argv.iter().any(|argument| argument.contains('\0')) {
        return Err(format!("an argument of {program} contains a NUL character"));
    }
    if program.contains('/') && path(program).is_err() || program.starts_with('-') {
        return refuse("program", program, "it is a name or an absolute path");
    }
    Ok(())
}

/// The environment of a program.
pub(crate) fn environment(env: &BTreeMap<String, String>) -> Verdict {
    let bad = |name: &str, value: &str| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0');
    match env.iter().find(|(name, value)| bad(name, value)) {
        Some((name, _)) => Err(format!("{name:?} is no good name or value in an environment")),
        None => Ok(()),
    }
}

/// Seconds that a program may take.
pub(crate) fn timeout(seconds: u64) -> Verdict {
    if (1..=86_400).contains(&seconds) {
        return Ok(());
    }
    Err("a timeout is between one second and a day".to_owned())
}

/// One line of text: an id, a note.
pub(crate) fn id(text: &str) -> Verdict {
    if !text.is_empty() && text.len() <= 300 && !text.chars().any(char::is_control) {
        return Ok(());
    }
    refuse("id", text, "it is one line of at most 300 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    #[test]
    fn ordinary_names_are_good() {
        for good in ["/etc/x", "/srv/kita sonne/ü", "/..x/.y"] {
            assert_eq!(path(good), Ok(()), "{good}");
        }
        for good in [
            "nginx.service",
            "getty@tty1.service",
            "a-b_c.timer",
            "dev-disk-by\\x2dlabel-x.swap",
        ] {
            assert_eq!(unit(good), Ok(()), "{good}");
        }
        for good in ["g++", "libc6", "php8.2-fpm", "0ad"] {
            assert_eq!(package(good), Ok(()), "{good}");
        }
        assert_eq!(account("kita-sonne_cloud"), Ok(()));
        assert_eq!(postgres("kita-sonne_cloud"), Ok(()));
        assert_eq!(mode("2750"), Ok(0o2750));
    }

    #[test]
    fn dangerous_names_are_refused() {
        for bad in [
            "", "/", "etc", "/a/../b", "/a//b", "/a/", "/a/./b", "/a\nb", "/a\0",
        ] {
            assert!(path(bad).is_err(), "{bad:?}");
        }
        for bad in [
            "",
            "nginx",
            "-x.service",
            "x y.service",
            "../x.service",
            "t@.service",
            "x.service\n",
            "*.service",
        ] {
            assert!(unit(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "-y", "a b", "curl-", "Curl", "a=1", "x/stable"] {
            assert!(package(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "a\"; DROP ROLE b; --", "pg_x", "postgres", "A", "a$b"] {
            assert!(postgres(bad).is_err(), "{bad:?}");
        }
        for bad in [
            "",
            "a`; DROP USER b; --",
            "root",
            "mysql",
            "A",
            "a%",
            "a'b",
            "a\\b",
        ] {
            assert!(mariadb(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "-x", "root:x", "a b", &"x".repeat(33)] {
            assert!(account(bad).is_err(), "{bad:?}");
        }
        for bad in ["", ".", "..", "a/b", "-x", ".x"] {
            assert!(file_name(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "8", "888", "00644", "-64", "+644"] {
            assert!(mode(bad).is_err(), "{bad:?}");
        }
        for bad in [&["./x"][..], &[""], &[], &["-x"], &["a/b"], &["a", "\0"]] {
            assert!(
                argv(&bad.iter().map(|&part| part.to_owned()).collect::<Vec<_>>()).is_err(),
                "{bad:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_good_path_has_only_plain_components(text in "[/.a\\\\ \n]{0,30}") {
            if path(&text).is_ok() {
                let mut components = Path::new(&text).components();
                prop_assert_eq!(components.next(), Some(Component::RootDir));
                prop_assert!(components.all(|component| matches!(component, Component::Normal(_))));
            }
        }

        #[test]
        fn nothing_panics(text in "\\PC*") {
            let _ = (path(&text), unit(&text), account(&text), package(&text));
            let _ = (postgres(&text), mariadb(&text));
            let _ = (file_name(&text), run(&text), sha256(&text), mode(&text), id(&text));
        }
    }
}
