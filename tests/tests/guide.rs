//! The guide for authors of templates: what it promises holds.

use allmende_tests::World;

#[test]
fn a_new_template_works_on_a_practice_host_and_a_broken_one_is_noticed() {
    let world = World::new();
    let folder = world.data_dir().join("templates");
    let templates = folder.display().to_string();
    let run = |words: &[&str]| {
        let words: Vec<&str> = ["--templates", &templates].iter().chain(words).copied().collect();
        world.run(&words)
    };
    world
        .run(&["template", "new", "noticeboard", "--into", &templates])
        .expect(0)
        .saying("template try noticeboard");
    world
        .run(&["template", "new", "noticeboard", "--into", &templates])
        .expect(1);
    let noticeboard = folder.join("noticeboard");
    world
        .run(&["template", "lint", &noticeboard.display().to_string()])
        .expect(0);
    run(&["template", "show", "noticeboard"])
        .expect(0)
        .saying("The page appears");
    run(&[
        "template",
        "try",
        "noticeboard",
        "--yes",
        "--set",
        "greeting=Hallo <Welt>",
    ])
    .expect(0)
    .saying("nothing to change")
    .saying("noticeboard works.");

    // A page that says something else than its check expects.
    let path = noticeboard.join("service.toml");
    let text = std::fs::read_to_string(&path).expect("reads");
    let broken = text.replace("contains = \"<h1>\"", "contains = \"<h7>\"");
    assert_ne!(text, broken);
    std::fs::write(&path, broken).expect("writes");
    run(&["template", "try", "noticeboard", "--yes"])
        .expect(3)
        .saying("the check page does not answer well");
    // Nothing is left of it.
    assert!(!world.data_dir().join("try").exists());
    run(&["template", "try", "noticeboard", "--yes", "--set", "colour=red"])
        .expect(1)
        .saying("no parameter \"colour\"");
    assert!(!world.data_dir().join("try").exists());
}
