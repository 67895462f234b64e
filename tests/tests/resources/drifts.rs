//! What somebody does to a host by hand.

use allmende_tests::{HostAccess, World};

/// What somebody does to the host by hand, what the plan says about it, and how many resources it is about.
pub struct Drift {
    by: &'static str,
    plan: &'static [&'static str],
    resources: Option<usize>,
}

const fn drift(by: &'static str, resources: usize, plan: &'static [&'static str]) -> Drift {
    Drift {
        by,
        plan,
        resources: Some(resources),
    }
}

/// A drift that is seen in more resources than it takes to repair it.
const fn wide_drift(by: &'static str, plan: &'static [&'static str]) -> Drift {
    Drift {
        by,
        plan,
        resources: None,
    }
}

pub const DRIFTS: &[Drift] = &[
    drift("dpkg --remove tree", 1, &["~ package tree, bc", "missing: tree"]),
    drift("dpkg --remove jq", 1, &["+ package jq"]),
    drift(
        "echo tampered >> /etc/everything/content",
        1,
        &[
            "~ file /etc/everything/content",
            "-tampered",
            "afterwards: run sh -c",
        ],
    ),
    drift("chmod 0600 /etc/everything/content", 1, &["mode: 0600 → 0664"]),
    drift(
        "chown root:root /etc/everything/content",
        1,
        &["owner: root → everything-anna", "group: root → everything-team"],
    ),
    drift(
        "rm /etc/everything/template",
        1,
        &["+ file /etc/everything/template"],
    ),
    drift(
        "echo tampered > /etc/everything/template",
        1,
        &[
            "~ file /etc/everything/template",
            "not shown because it holds secrets",
        ],
    ),
    drift(
        "rm /etc/everything/one && ln -s /etc/passwd /etc/everything/one",
        1,
        &["type: a symbolic link to /etc/passwd → a file of its own"],
    ),
    drift("chmod 0777 /srv/everything/shared", 1, &["mode: 2777 → 2770"]),
    drift(
        "chown root:root /srv/everything/shared",
        1,
        &[
            "~ directory /srv/everything/shared",
            "owner: root → everything-anna",
        ],
    ),
    drift(
        "rm -r /srv/everything/shared",
        3,
        &["+ directory /srv/everything/shared", "» command cp"],
    ),
    drift(
        "ln -sfn /etc/shadow /etc/everything/link",
        1,
        &["target: /etc/shadow → ../everything/source"],
    ),
    drift("rm /etc/everything/link", 1, &["+ link /etc/everything/link"]),
    drift("mkdir /etc/everything.old", 1, &["- absent /etc/everything.old"]),
    drift(
        "sed -i 's/^port = 8080/port=1/' /etc/everything.lines",
        1,
        &["line: port=1 → port = 8080"],
    ),
    drift(
        "sed -i '/looked after/d' /etc/everything.lines",
        1,
        &["line: # looked after by Allmende"],
    ),
    drift(
        "usermod --shell /bin/sh everything-anna",
        1,
        &["shell: /bin/sh → /bin/bash"],
    ),
    drift(
        "usermod --home /tmp everything-anna",
        1,
        &["home: /tmp → /srv/everything/anna"],
    ),
    drift(
        "gpasswd --delete everything-anna everything-readers",
        1,
        &["~ user everything-anna", "groups: everything-readers"],
    ),
    drift(
        "groupdel everything-readers",
        2,
        &["+ group everything-readers", "groups: everything-readers"],
    ),
    wide_drift("userdel everything-anna", &["+ user everything-anna", "owner: "]),
    drift(
        "systemctl disable everything.service",
        1,
        &["~ unit everything.service", "enabled: disabled → enabled"],
    ),
    drift(
        "systemctl stop everything.service",
        1,
        &["running: stopped → running"],
    ),
    drift(
        "systemctl enable --now everything.timer",
        1,
        &["enabled: enabled → disabled", "running: running → stopped"],
    ),
    wide_drift(
        "sed -i s/infinity/1000/ /etc/systemd/system/everything.service",
        &[
            "-ExecStart=/bin/sleep 1000",
            "afterwards: restart everything.service",
        ],
    ),
    drift(
        "rm /srv/everything/.gzipped.allmende-archive",
        1,
        &["other entries, which will be kept in /srv/everything/gzipped.before-allmende"],
    ),
    drift("rm /srv/everything/bzipped/page", 1, &["archive: without page"]),
    drift(
        "rm -r /srv/everything/bzipped",
        1,
        &["+ archive /srv/everything/bzipped"],
    ),
    drift(
        "runuser -u postgres -- dropdb kita-sonne_all",
        1,
        &["+ postgres database kita-sonne_all"],
    ),
    drift(
        "runuser -u postgres -- psql -c 'ALTER DATABASE \"kita-sonne_all\" OWNER TO postgres'",
        1,
        &["owner: postgres → kita-sonne_all"],
    ),
    drift(
        "runuser -u postgres -- psql -c 'GRANT CONNECT ON DATABASE \"kita-sonne_all\" TO PUBLIC'",
        1,
        &["access: every role → its owner"],
    ),
    drift(
        "runuser -u postgres -- psql -c 'ALTER ROLE \"kita-sonne_all\" NOLOGIN'",
        1,
        &["login: no → yes"],
    ),
    drift(
        "runuser -u postgres -- sh -c 'dropdb kita-sonne_all && dropuser kita-sonne_all'",
        2,
        &[
            "+ postgres role kita-sonne_all",
            "+ postgres database kita-sonne_all",
        ],
    ),
    drift(
        "mariadb -e \"ALTER USER 'kita-sonne_all'@'localhost' IDENTIFIED BY 'guess'\"",
        1,
        &["login: otherwise → as the Unix user of the same name"],
    ),
    drift(
        "mariadb -e \"GRANT RELOAD ON *.* TO 'kita-sonne_all'@'localhost'\"",
        1,
        &["rights on everything: some → none"],
    ),
    drift(
        "mariadb -e 'ALTER DATABASE `kita-sonne_all` COLLATE utf8mb4_unicode_ci'",
        1,
        &["collation: utf8mb4_unicode_ci → utf8mb4_general_ci"],
    ),
    drift(
        "mariadb -e 'GRANT SELECT ON `kita%`.* TO anna@localhost IDENTIFIED VIA unix_socket'",
        1,
        &["access: anna@localhost on kita% → its owner alone"],
    ),
    drift(
        "mariadb -e \"DROP DATABASE \\`kita-sonne_all\\`; DROP USER 'kita-sonne_all'@'localhost'\"",
        2,
        &[
            "+ mariadb user kita-sonne_all",
            "+ mariadb database kita-sonne_all",
        ],
    ),
    drift("nft flush ruleset", 1, &["open: 8080/tcp, 8443/tcp, 5353/udp"]),
    drift(
        "nft 'delete element inet allmende open_tcp { 8443 }'",
        1,
        &["~ firewall kita-sonne_all", "open: 8443/tcp"],
    ),
    drift(
        "rm /etc/nftables.d/kita-sonne_all.nft",
        1,
        &["+ firewall kita-sonne_all"],
    ),
    drift(
        "rm /etc/everything/tls.crt",
        1,
        &[
            "+ file /etc/everything/tls.crt",
            "afterwards: restart everything.service",
        ],
    ),
    drift("chmod 0644 /etc/everything/tls.key", 1, &["mode: 0644 → 0640"]),
    drift(
        "echo another > /etc/everything/tls.key",
        1,
        &["not shown because it holds secrets"],
    ),
    drift("rm /srv/everything/shared/made", 1, &["» command sh -c"]),
    drift("rm /srv/everything/shared/copy", 1, &["» command cp"]),
];

/// Plays a drift, looks whether the plan shows it and the apply repairs it.
pub fn repaired(world: &World, host: &HostAccess, drift: &Drift) -> Result<(), String> {
    let by = drift.by;
    host.run(by).expect(0);
    let plan = world.run(&["plan", "all"]);
    let apply = world.run(&["apply", "all", "--yes"]);
    let after = world.run(&["plan", "all"]);
    let unsaid = drift.plan.iter().find(|words| !plan.stdout.contains(*words));
    let changed = drift
        .resources
        .map_or("resources changed".to_owned(), |count| format!(": {count} of "));
    match (plan.code, apply.code, after.code) {
        (Some(3), Some(0), Some(0)) => {}
        codes => {
            let said = [plan.said(), apply.said(), after.said()].join("\n");
            return Err(format!("after {by}: {codes:?}\n{said}"));
        }
    }
    if let Some(words) = unsaid {
        return Err(format!(
            "after {by}: the plan does not say {words:?}\n{}",
            plan.said()
        ));
    }
    if !apply.stdout.contains(&changed) {
        return Err(format!("after {by}: it is not {changed:?}\n{}", apply.said()));
    }
    Ok(())
}
