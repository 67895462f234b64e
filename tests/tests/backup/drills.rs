//! Drills: a good backup passes, one that does not hold what was written down fails, and nothing is left on the host.

use super::stage::Stage;

#[test]
fn a_drill_passes_fails_and_leaves_nothing() {
    let stage = Stage::new("12");
    stage.world.run(&["backup", "run", "archive"]).expect(0);
    let left =
        "ls -A /var/lib/allmende-agent/drills 2>/dev/null; mariadb -BN -e 'SHOW DATABASES' | grep allmende";
    let drill = stage
        .world
        .run(&["backup", "drill", "archive", "--json"])
        .expect(0)
        .json();
    assert_eq!(drill["outcome"], "passed");
    assert!(
        drill["evidence"]["findings_when_damaged"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["fits"] == false))
    );
    assert_eq!(stage.host.run(left).stdout, "");
}
