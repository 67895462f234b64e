//! The way back: what a service was is there again, compared; and what was there is there again when it is undone.

use super::stage::Stage;

/// Everything by which a restored service is measured: contents, owners, modes, times, extended attributes, rows.
fn everything(stage: &Stage) -> String {
    let line = "find /srv/archive /srv/annex -printf '%p %y %U:%G %m %T@ %l\\n' | grep -v /srv/archive/cache | sort; \
                find /srv/archive /srv/annex -type f -exec sha256sum {} + | sort -k2; \
                getfattr -R -d /srv/archive 2>/dev/null; \
                mariadb -BN kita-sonne_archive -e 'SELECT t FROM letters ORDER BY t; SHOW CREATE TABLE letters'; \
                mariadb -BN -e \"SHOW GRANTS FOR 'kita-sonne_archive'@localhost\"";
    stage.on_host(line).stdout
}

#[test]
fn a_service_comes_back_as_it_was_and_an_interrupted_restore_is_undone() {
    let stage = Stage::new("12");
    stage.on_host(
        "useradd -r keeper; mkdir -p /srv/archive/deep/er && head -c 300000 /dev/urandom > /srv/archive/deep/er/bin && \
         ln -s b /srv/archive/link && chown -R keeper:keeper /srv/archive/deep && chmod 2750 /srv/archive/deep && \
         touch -d 2020-01-02T03:04:05 /srv/archive/b",
    );
    let good = everything(&stage);
    stage.world.run(&["backup", "run", "archive"]).expect(0);

    // Nobody is there to type the name.
    stage
        .world
        .run(&["restore", "archive"])
        .expect(1)
        .saying("there is no terminal to ask at");

    let spoil = "rm -r /srv/archive/deep; echo now > /srv/archive/b; echo new > /srv/archive/c; \
                 mariadb kita-sonne_archive -e 'DELETE FROM letters; INSERT INTO letters VALUES (9)'";
    stage.on_host(spoil);
    let one = [
        "restore",
        "archive",
        "--yes",
        "--no-safety",
        "--path",
        "/srv/archive/b",
    ];
    stage.world.run(&one).expect(0);
    assert_eq!(stage.on_host("cat /srv/archive/b").stdout.trim(), "plain");
    assert!(stage.on_host("cat /srv/archive/c").stdout.contains("new"));

    let beside = ["restore", "archive", "--yes", "--into", "/root/look"];
    let spoilt = everything(&stage);
    stage.world.run(&beside).expect(0);
    assert_eq!(everything(&stage), spoilt);
    stage.on_host("test -s /root/look/database.dump && test -f /root/look/srv/annex/a");

    stage.world.run(&["restore", "archive", "--yes"]).expect(0);
    assert_eq!(everything(&stage), good);
    stage.on_host("! ls -d /srv/.allmende-restore-* /var/lib/allmende-agent/restores/* 2>/dev/null");

    // What was there before is the safety backup.
    stage
        .world
        .run(&["restore", "archive", "--yes", "--no-safety", "--snapshot", "2"])
        .expect(0);
    assert_eq!(everything(&stage), spoilt);
    stage.world.run(&["restore", "archive", "--undo"]).expect(1);
}
