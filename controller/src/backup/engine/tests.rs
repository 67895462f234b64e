//! With the restic that this machine has.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use allmende_agent::protocol::EngineEnd;
use tempfile::TempDir;

use super::*;
use crate::model::{Part, Secret};

struct Scene {
    folder: TempDir,
    restic: Restic,
    place: Place,
    password: Secret,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let restic = Restic::find(Path::new("restic"), folder.path())
            .await
            .expect("`./prerequisites test` installs restic");
        let place = Place::Folder(folder.path().join("repository"));
        let scene = Self {
            folder,
            restic,
            place,
            password: Secret::new("hunter2!".to_owned()),
        };
        scene.ask(Command::Init).await.unwrap();
        scene
    }

    fn call<'a>(&'a self, command: Command<'a>) -> Call<'a> {
        Call::new(&self.place, &None, &self.password, command)
    }

    async fn ask(&self, command: Command<'_>) -> Result<String, EngineError> {
        self.restic.ask(&self.call(command)).await
    }

    /// The ids of all snapshots.
    async fn snapshots(&self) -> Vec<String> {
        let text = self.ask(Command::Snapshots).await.unwrap();
        let found: serde_json::Value = serde_json::from_str(&text).unwrap();
        let ids = found.as_array().into_iter().flatten();
        ids.map(|snapshot| snapshot["id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Backs up the dump `db`, as a host would, but into the folder.
    fn back_up(&self, backup: i64) {
        let service = "kita/cloud".parse().unwrap();
        let part = Part::Dump("db".to_owned());
        let tags = Tags {
            backup,
            service: &service,
            part: &part,
        };
        let path = dump_path("db");
        let command = Command::BackUpInput { tags, path: &path };
        let mut child = std::process::Command::new("restic")
            .args(command.arguments(self.restic.version()))
            .arg("--no-cache")
            .env("RESTIC_REPOSITORY", self.repository())
            .env("RESTIC_PASSWORD", self.password.reveal())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "dump {backup}").unwrap();
        let ended = child.wait_with_output().unwrap();
        let end = EngineEnd {
            code: ended.status.code(),
            summary: String::from_utf8(ended.stdout)
                .unwrap()
                .lines()
                .last()
                .map(str::to_owned),
            ..EngineEnd::default()
        };
        let made = backed_up(self.restic.version(), &end).unwrap();
        assert_eq!(
            (made.verdict, made.summary.total_files_processed),
            (Verdict::Done, 1)
        );
    }

    fn repository(&self) -> &Path {
        match &self.place {
            Place::Folder(folder) => folder,
            _ => unreachable!("it is a folder"),
        }
    }
}

#[tokio::test]
async fn a_repository_is_made_filled_looked_through_thinned_out_and_checked() {
    let scene = Scene::new().await;
    scene.back_up(1);
    scene.back_up(2);
    let ids = scene.snapshots().await;
    assert_eq!(ids.len(), 2);
    let listed = scene
        .ask(Command::List {
            snapshot: &ids[0],
            folder: None,
            recursive: true,
        })
        .await
        .unwrap();
    assert!(listed.contains("\"/dump-db\""), "{listed}");
    let (from, to) = (&ids[0], &ids[1]);
    scene.ask(Command::Diff { from, to }).await.unwrap();
    scene.ask(Command::Stats).await.unwrap();
    scene.ask(Command::Forget { ids: &ids[..1] }).await.unwrap();
    scene.ask(Command::Prune).await.unwrap();
    for data in [
        CheckedData::None,
        CheckedData::Part { part: 1, parts: 2 },
        CheckedData::All,
    ] {
        scene.ask(Command::Check { data }).await.unwrap();
    }
    assert_eq!(scene.snapshots().await, ids[1..]);
    let target = scene.folder.path().join("restored");
    let mut call = scene.call(Command::Restore {
        snapshot: &ids[1],
        paths: &[],
    });
    call.target = Some(&target);
    scene.restic.run(&call, |_| {}).await.unwrap();
    assert!(target.join("dump-db").exists());
}

#[tokio::test]
async fn snapshots_are_copied_to_a_second_repository() {
    let scene = Scene::new().await;
    scene.back_up(1);
    let ids = scene.snapshots().await;
    let second = Place::Folder(scene.folder.path().join("second"));
    let password = Secret::new("hunter3!".to_owned());
    for command in [Command::Init, Command::Copy { ids: &ids }] {
        let mut call = Call::new(&second, &None, &password, command);
        call.from = Some((scene.repository(), &scene.password));
        scene.restic.run(&call, |_| {}).await.unwrap();
    }
    let text = scene
        .restic
        .ask(&Call::new(&second, &None, &password, Command::Snapshots))
        .await
        .unwrap();
    assert!(text.contains("backup:1"), "{text}");
}

#[tokio::test]
async fn a_second_password_opens_the_repository() {
    let scene = Scene::new().await;
    let second = Secret::new("written on paper".to_owned());
    let mut call = scene.call(Command::AddKey);
    call.new_password = Some(&second);
    scene.restic.run(&call, |_| {}).await.unwrap();
    let opened = Call::new(&scene.place, &None, &second, Command::Snapshots);
    scene.restic.run(&opened, |_| {}).await.unwrap();
}

#[tokio::test]
async fn what_went_wrong_is_told_apart() {
    let scene = Scene::new().await;
    let wrong = Secret::new("hunter1!".to_owned());
    let failed = scene
        .restic
        .ask(&Call::new(&scene.place, &None, &wrong, Command::Snapshots))
        .await;
    assert!(
        matches!(
            failed,
            Err(EngineError::Failed(EngineFailure::WrongPassword { .. }))
        ),
        "{failed:?}"
    );
    let nowhere = Place::Folder(scene.folder.path().join("nowhere"));
    let failed = scene
        .restic
        .ask(&Call::new(&nowhere, &None, &scene.password, Command::Snapshots))
        .await;
    assert!(
        matches!(
            failed,
            Err(EngineError::Failed(EngineFailure::NoRepository { .. }))
        ),
        "{failed:?}"
    );
    let again = scene.ask(Command::Init).await;
    assert!(matches!(again, Err(EngineError::Failed(_))), "{again:?}");
}

#[tokio::test]
async fn damaged_data_are_found() {
    let scene = Scene::new().await;
    scene.back_up(1);
    let mut packs = Vec::new();
    for below in std::fs::read_dir(scene.repository().join("data")).unwrap() {
        packs.extend(
            std::fs::read_dir(below.unwrap().path())
                .unwrap()
                .map(|pack| pack.unwrap().path()),
        );
    }
    let mut content = std::fs::read(&packs[0]).unwrap();
    content[5] ^= 1;
    std::fs::remove_file(&packs[0]).unwrap();
    std::fs::write(&packs[0], content).unwrap();
    let failed = scene
        .ask(Command::Check {
            data: CheckedData::All,
        })
        .await;
    assert!(
        matches!(
            failed,
            Err(EngineError::Failed(EngineFailure::Failed { code: 1, .. }))
        ),
        "{failed:?}"
    );
}

#[tokio::test]
async fn where_restic_is_missing_the_error_says_what_to_install() {
    let error = Restic::find(Path::new("restic-that-nobody-has"), Path::new("/"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("apt install restic"), "{error}");
    let error = Restic::find(Path::new("/bin/true"), Path::new("/"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("cannot be used as restic"), "{error}");
}

#[tokio::test]
async fn a_restic_that_stands_still_is_ended() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new().await;
    let stuck = scene.folder.path().join("stuck");
    std::fs::write(
        &stuck,
        "#!/bin/sh\nif [ \"$1\" = version ]; then echo restic 0.18.0 compiled; else exec sleep 600; fi\n",
    )
    .unwrap();
    std::fs::set_permissions(&stuck, std::fs::Permissions::from_mode(0o700)).unwrap();
    let restic = Restic::find(&stuck, scene.folder.path()).await.unwrap();
    let restic = restic.with_silence(Duration::from_millis(200));
    let failed = restic.ask(&scene.call(Command::Prune)).await;
    assert!(matches!(failed, Err(EngineError::Silent { .. })), "{failed:?}");
}
