use std::fs;

use super::*;
use crate::auth::sign::{JwtSigner, TokenRequest};

struct World {
    _dir: tempfile::TempDir,
    root: PathBuf,
    outside: PathBuf,
    host: StandaloneHost,
}

fn jwt() -> Jwt {
    Jwt { secret: Some("a-test-secret-of-more-than-32-bytes!".into()), ..Jwt::default() }
}

fn world(create_missing: bool) -> World {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().canonicalize().unwrap();
    let (root, outside) = (base.join("records"), base.join("outside"));
    fs::create_dir_all(root.join("minutes")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret.md"), "secret").unwrap();
    fs::write(root.join("noise.md"), "---\ntitle: Noise\nstatus: draft\ntype: bylaw\n---\nText\n")
        .unwrap();
    fs::write(root.join("minutes/march.md"), "# Council, March\n").unwrap();
    fs::write(root.join("untitled.md"), "no heading\n").unwrap();
    fs::write(root.join("notes.txt"), "# Not a record\n").unwrap();
    let options = StandaloneOptions {
        records_dir: root.clone(),
        create_missing,
        open_types: vec!["pad".into()],
        jwt: jwt(),
    };
    World { _dir: dir, root, outside, host: StandaloneHost::new(options).unwrap() }
}

fn who(role: &str, patterns: &[&str]) -> Identity {
    Identity {
        user_id: "u".into(),
        name: "U".into(),
        role: role.into(),
        expires_at_ms: None,
        room_patterns: patterns.iter().map(|pattern| (*pattern).to_owned()).collect(),
        api_user: None,
    }
}

fn room(name: &str) -> RoomId {
    RoomId::parse(name).unwrap()
}

fn temp_files(root: &Path) -> usize {
    let mut count = 0;
    listing::walk(root, &mut |entry| {
        count += usize::from(folder::is_temp(&entry.file_name().to_string_lossy()));
    });
    count
}

#[tokio::test]
async fn roles_patterns_and_files_decide() {
    let world = world(false);
    let edit = Ok(Grant { can_edit: true });
    let view = Ok(Grant { can_edit: false });
    for (role, patterns, name, expected) in [
        ("viewer", &[][..], "records:noise", view.clone()),
        ("editor", &[][..], "records:noise", edit.clone()),
        ("admin", &[][..], "records:minutes/march", edit.clone()),
        ("owner", &[][..], "records:noise", Err(HostError::Denied)),
        ("", &[][..], "records:noise", Err(HostError::Denied)),
        ("editor", &["records:minutes/*"][..], "records:minutes/march", edit.clone()),
        ("editor", &["records:minutes/*"][..], "records:noise", Err(HostError::Denied)),
        ("admin", &["pad:*"][..], "records:noise", Err(HostError::Denied)),
        ("editor", &[][..], "records:missing", Err(HostError::Denied)),
        ("editor", &[][..], "records:minutes", Err(HostError::Denied)),
        ("editor", &[][..], "records:noise/below", Err(HostError::Denied)),
        ("editor", &[][..], "pad:anything", edit),
        ("viewer", &[][..], "pad:anything", view),
        ("admin", &[][..], "device:7", Err(HostError::Denied)),
    ] {
        let answer = world.host.authorize(&who(role, patterns), &room(name)).await;
        assert_eq!(answer, expected, "{role} {patterns:?} {name}");
    }
}

#[tokio::test]
async fn only_editors_create_missing_records() {
    let world = world(true);
    let name = room("records:new/plan");
    assert_eq!(world.host.authorize(&who("viewer", &[]), &name).await, Err(HostError::Denied));
    assert_eq!(
        world.host.authorize(&who("editor", &[]), &name).await,
        Ok(Grant { can_edit: true })
    );
    fs::create_dir(world.root.join("folder.md")).unwrap();
    for name in ["records:.hidden", "records:folder", "records:noise.md/below", "records:NUL"] {
        let answer = world.host.authorize(&who("editor", &[]), &room(name)).await;
        assert_eq!(answer, Err(HostError::Denied), "{name}");
    }
    assert_eq!(world.host.load_record(&name).await, Ok(None));
    assert_eq!(
        world.host.save_record(&name, "# Plan\n", None).await,
        Ok(SaveOutcome::Saved("file"))
    );
    assert_eq!(fs::read_to_string(world.root.join("new/plan.md")).unwrap(), "# Plan\n");
    assert_eq!(temp_files(&world.root), 0);
}

#[tokio::test]
async fn tokens_become_identities() {
    let world = world(false);
    let request = TokenRequest {
        user_id: "7".into(),
        name: "Ada".into(),
        role: "editor".into(),
        rooms: Vec::new(),
        expires_in_s: 60,
    };
    let token = JwtSigner::new(&jwt()).unwrap().sign(&request, unix_ms()).unwrap();
    assert_eq!(world.host.authenticate(&token).await.unwrap().user_id, "7");
    assert!(matches!(world.host.authenticate("x.y.z").await, Err(HostError::Unauthenticated(_))));
}

#[tokio::test]
async fn no_id_leads_out_of_the_folder() {
    let world = world(true);
    fs::write(world.root.join(".hidden.md"), "hidden").unwrap();
    fs::create_dir(world.root.join(".git")).unwrap();
    fs::write(world.root.join(".git/config.md"), "hidden").unwrap();
    for name in
        ["records:.hidden", "records:.git/config", "records:NUL", "records:a/.b", "records:minutes"]
    {
        assert_eq!(world.host.load_record(&room(name)).await, Ok(None), "{name}");
    }
    for name in ["records:.hidden", "records:.git/config", "records:aux.x", "records:noise.md/x/.y"]
    {
        assert!(world.host.save_record(&room(name), "x", None).await.is_err(), "{name}");
    }
    assert_eq!(fs::read_to_string(world.root.join(".hidden.md")).unwrap(), "hidden");
}

#[cfg(unix)]
#[tokio::test]
async fn links_are_not_followed() {
    use std::os::unix::fs::symlink;
    let world = world(true);
    symlink(world.outside.join("secret.md"), world.root.join("file.md")).unwrap();
    symlink(&world.outside, world.root.join("dir")).unwrap();
    symlink(world.root.join("noise.md"), world.root.join("alias.md")).unwrap();
    symlink(world.outside.join("nothing.md"), world.root.join("dangling.md")).unwrap();
    for id in ["file", "dir/secret", "alias", "dangling", "dir/new"] {
        let name = room(&format!("records:{id}"));
        assert_eq!(world.host.load_record(&name).await, Ok(None), "{id}");
        assert!(world.host.save_record(&name, "x", None).await.is_err(), "{id}");
        assert!(world.host.save_record(&name, "x", Some("secret")).await.is_err(), "{id}");
    }
    assert_eq!(fs::read_to_string(world.outside.join("secret.md")).unwrap(), "secret");
    assert_eq!(fs::read_dir(&world.outside).unwrap().count(), 1);
    let listed = world.host.list_records(&who("viewer", &[])).await.unwrap();
    assert_eq!(listed.len(), 3);
}

#[tokio::test]
async fn a_save_needs_the_text_it_was_made_from() {
    let world = world(false);
    let name = room("records:noise");
    let before = world.host.load_record(&name).await.unwrap().unwrap();
    assert_eq!(before.source, "file");
    assert_eq!(
        world.host.save_record(&name, "new", Some(&before.text)).await,
        Ok(SaveOutcome::Saved("file"))
    );
    let now = RecordText { source: "file", text: "new".into() };
    for expected in [Some(before.text.as_str()), None, Some("")] {
        let outcome = world.host.save_record(&name, "late", expected).await;
        assert_eq!(outcome, Ok(SaveOutcome::Changed(now.clone())));
    }
    assert_eq!(world.host.load_record(&name).await, Ok(Some(now)));
    assert_eq!(temp_files(&world.root), 0);
}

#[tokio::test]
async fn a_removed_record_is_not_written_again() {
    let world = world(false);
    fs::remove_file(world.root.join("noise.md")).unwrap();
    let outcome = world.host.save_record(&room("records:noise"), "new", Some("old")).await;
    assert_eq!(
        outcome,
        Err(HostError::Failed("record noise was removed; it is not written again".into()))
    );
    assert!(!world.root.join("noise.md").exists());
}

#[cfg(unix)]
#[tokio::test]
async fn a_save_keeps_the_mode_and_respects_protection() {
    use std::os::unix::fs::PermissionsExt;
    let world = world(false);
    let (path, name) = (world.root.join("untitled.md"), room("records:untitled"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    world.host.save_record(&name, "a", Some("no heading\n")).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
    assert!(world.host.save_record(&name, "b", Some("a")).await.is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "a");
}

#[tokio::test]
async fn unreadable_records_say_why() {
    let world = world(false);
    fs::write(world.root.join("latin.md"), b"caf\xe9").unwrap();
    let file = fs::File::create(world.root.join("huge.md")).unwrap();
    file.set_len(u64::try_from(crate::limits::RECORD_BYTES_MAX).unwrap() + 1).unwrap();
    for (name, why) in [
        ("records:latin", "record latin is not UTF-8 text (byte 3); save it as UTF-8"),
        ("records:huge", "record huge is too large (16 MiB at most)"),
    ] {
        let answer = world.host.load_record(&room(name)).await;
        assert_eq!(answer, Err(HostError::Failed(why.into())));
    }
    let large = "x".repeat(crate::limits::RECORD_BYTES_MAX + 1);
    assert!(world.host.save_record(&room("records:noise"), &large, None).await.is_err());
}

#[tokio::test]
async fn the_list_is_by_title_and_by_pattern() {
    let world = world(false);
    let all = world.host.list_records(&who("viewer", &[])).await.unwrap();
    let titles: Vec<_> =
        all.iter().map(|record| (record.title.as_str(), record.id.as_str())).collect();
    assert_eq!(
        titles,
        [("Council, March", "minutes/march"), ("Noise", "noise"), ("untitled", "untitled")]
    );
    assert_eq!((all[1].status.as_deref(), all[1].kind.as_deref()), (Some("draft"), Some("bylaw")));
    assert!(all[1].modified_at_ms > 0);
    let some = world.host.list_records(&who("editor", &["records:minutes/*"])).await.unwrap();
    assert_eq!(some.len(), 1);
}

#[tokio::test]
async fn rooms_without_records_have_none() {
    let world = world(false);
    assert_eq!(world.host.load_record(&room("pad:noise")).await, Ok(None));
    assert!(world.host.save_record(&room("pad:noise"), "x", None).await.is_err());
}

#[test]
fn the_host_watches_its_folder() {
    let world = world(false);
    let (tell, told) = std::sync::mpsc::sync_channel(16);
    let changed = Arc::new(move |room: RoomId| drop(tell.try_send(room.to_string())));
    let guard = world.host.watch(changed).unwrap();
    fs::write(world.root.join("noise.md"), "outside").unwrap();
    assert_eq!(told.recv_timeout(std::time::Duration::from_secs(30)).unwrap(), "records:noise");
    drop(guard);
}

#[test]
fn hooks_are_counted() {
    let world = world(false);
    world.host.emit_hook(Hook { name: "realtime:room:created", data: serde_json::json!({}) });
    assert_eq!(world.host.hooks_emitted(), 1);
}

#[test]
fn a_missing_folder_is_created_and_a_file_is_no_folder() {
    let dir = tempfile::tempdir().unwrap();
    let options = |name: &str| StandaloneOptions {
        records_dir: dir.path().join(name),
        create_missing: false,
        open_types: Vec::new(),
        jwt: jwt(),
    };
    assert!(StandaloneHost::new(options("a/b")).is_ok());
    assert!(dir.path().join("a/b").is_dir());
    fs::write(dir.path().join("file"), "").unwrap();
    let error = StandaloneHost::new(options("file")).unwrap_err();
    assert_eq!(error.code(), "RECORDS_DIR_FAILED");
    let no_key = StandaloneOptions { jwt: Jwt::default(), ..options("a") };
    assert_eq!(StandaloneHost::new(no_key).unwrap_err().code(), "REALTIME_CONFIG_INVALID");
}

#[test]
fn samples_come_once() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("records");
    let dir = tempfile::tempdir().unwrap();
    let records = dir.path().join("data/records");
    let count = install_samples(&samples, &records).unwrap();
    assert_eq!(count, 6);
    assert!(records.join("minutes/2026-03-council.md").is_file());
    fs::remove_file(records.join("minutes/2026-03-council.md")).unwrap();
    assert_eq!(install_samples(&samples, &records).unwrap(), 0);
    assert!(!records.join("minutes/2026-03-council.md").exists());
    assert!(install_samples(&dir.path().join("nowhere"), &dir.path().join("other")).is_err());
    assert!(!dir.path().join("other").exists());
    assert_eq!(fs::read_dir(dir.path().join("data")).unwrap().count(), 1);
}
