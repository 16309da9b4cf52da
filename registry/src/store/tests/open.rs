//! Opening, sharing, closing and losing a volume.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::*;

#[tokio::test]
async fn everything_is_still_there_after_a_restart() {
    let volume = Volume::new();
    let name = repository("team/app");
    for close in [true, false] {
        let store = volume.open().await;
        let digest = push_image(&store, &name, "v1", "x").await;
        if close {
            store.close().await;
        }
        drop(store);
        let store = volume.open().await;
        assert_eq!(
            store
                .manifest_read(&name, &"v1".parse().unwrap())
                .await
                .unwrap()
                .digest,
            digest
        );
        assert_eq!(
            read_blob(&store, &name, &digest_of(b"layer of x")).await,
            b"layer of x"
        );
        push_image(&store, &name, "v2", "y").await;
    }
}

#[tokio::test]
async fn missing_directory_is_created() {
    let volume = Volume::new();
    let path = volume.path().join("not/yet");
    let store = Store::open(StoreOptions {
        path: path.clone(),
        ..volume.options()
    })
    .await
    .unwrap();
    push_blob(&store, &repository("a"), b"x").await;
    assert!(path.join("docker/registry/v2/blobs").is_dir());
}

#[tokio::test]
async fn file_in_place_of_the_directory_is_refused_by_name() {
    let volume = Volume::new();
    let path = volume.path().join("file");
    std::fs::write(&path, b"x").unwrap();
    let error = Store::open(StoreOptions {
        path,
        ..volume.options()
    })
    .await
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("/file\" is not a directory; write the path of one"),
        "{error}"
    );
}

#[tokio::test]
async fn second_process_on_a_volume_is_refused_with_path_and_remedy() {
    let volume = Volume::new();
    let store = volume.open().await;
    let error = volume.open_now().await.unwrap_err().to_string();
    assert!(
        error.contains(&format!(
            "\"{}\" is in use by process {} on host",
            volume.path().display(),
            std::process::id()
        )),
        "{error}"
    );
    assert!(
        error.starts_with("storage.volume.path") && error.contains("stop it, or"),
        "{error}"
    );
    drop(store);
    volume.open().await;
}

#[tokio::test]
async fn whoever_holds_the_lock_without_a_signature_is_another_process() {
    let volume = Volume::new();
    volume.open().await.close().await;
    assert_eq!(std::fs::read(volume.keys().lock()).unwrap(), b"");
    let other = File::options().write(true).open(volume.keys().lock()).unwrap();
    other.lock().unwrap();
    for content in [&b""[..], b"process 1\non host x\n", b"\xff\n", &[b'x'; 5000]] {
        std::fs::write(volume.keys().lock(), content).unwrap();
        let error = volume.open_now().await.unwrap_err().to_string();
        assert!(error.contains("is in use by another process,"), "{error}");
    }
}

#[tokio::test]
async fn draining_predecessor_is_waited_for() {
    let volume = Volume::new();
    let predecessor = volume.open().await;
    let options = StoreOptions {
        lock_timeout: Duration::from_mins(1),
        ..volume.options()
    };
    let successor = tokio::spawn(Store::open(options));
    push_blob(&predecessor, &repository("a"), b"last words").await;
    predecessor.close().await;
    let successor = successor.await.unwrap().unwrap();
    assert_eq!(
        read_blob(&successor, &repository("a"), &digest_of(b"last words")).await,
        b"last words"
    );
}

#[tokio::test]
async fn closed_store_refuses_writes_and_serves_reads() {
    let volume = Volume::new();
    let store = volume.open().await;
    let digest = push_blob(&store, &repository("a"), b"x").await;
    store.close().await;
    let refused = try_push_blob(&store, &repository("a"), b"y").await;
    assert!(matches!(refused, Err(UploadError::Fault(Fault::Closed))));
    assert_eq!(read_blob(&store, &repository("a"), &digest).await, b"x");
    let successor = volume.open().await;
    assert!(successor.read_only().is_none());
}

#[tokio::test]
async fn volume_of_a_newer_version_is_refused() {
    let volume = Volume::new();
    volume.open().await;
    let path = volume.keys().format();
    std::fs::write(&path, br#"{"format": 2, "features": ["x"]}"#).unwrap();
    let error = Store::open(volume.options()).await.unwrap_err();
    assert!(
        matches!(error, OpenError::NewerFormat { found: 2, .. }),
        "{error}"
    );
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(
        Store::open(volume.options()).await.unwrap_err(),
        OpenError::BadFormat { .. }
    ));
}

#[tokio::test]
async fn unfinished_small_files_go_at_the_next_start() {
    let volume = Volume::new();
    volume.open().await;
    let rest = volume.keys().temporary();
    std::fs::create_dir_all(rest.join("17/current")).unwrap();
    std::fs::write(rest.join("18"), b"x").unwrap();
    volume.open().await;
    assert!(!rest.join("17").exists() && !rest.join("18").exists());
}

#[tokio::test]
async fn space_and_open_uploads_are_counted() {
    let volume = Volume::new();
    let store = volume.open().await;
    store.upload_start(&repository("a"), None).await.unwrap();
    store.health().await.unwrap();
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.open_uploads, stats.read_only.is_none()), (1, true));
    assert!(stats.total_bytes > 0 && stats.available_bytes <= stats.total_bytes);
}

/// Lets nobody sync the volume until the test says how that ends.
struct Syncing(Mutex<std::sync::mpsc::Receiver<std::io::Result<()>>>);

impl disk::Seam for Syncing {
    fn before(&self, step: disk::Step, _: &Path) -> std::io::Result<()> {
        match step {
            disk::Step::SyncVolume => disk::lock(&self.0).recv().unwrap(),
            _ => Ok(()),
        }
    }
}

const EIO: i32 = 5;

/// How the sync ends is told in advance, or when the test does.
async fn open_syncing(
    volume: &Volume,
    fails_with: Option<i32>,
) -> (Store, std::sync::mpsc::Sender<std::io::Result<()>>) {
    let (tell, telling) = std::sync::mpsc::channel();
    if let Some(errno) = fails_with {
        tell.send(Err(std::io::Error::from_raw_os_error(errno))).unwrap();
    }
    let options = volume.options();
    let seam = Box::new(Syncing(Mutex::new(telling)));
    (Store::open_through(options, seam).await.unwrap(), tell)
}

#[tokio::test]
async fn only_on_an_empty_volume_is_a_write_acknowledged_before_everything_is_synced() {
    let volume = Volume::new();
    let name = repository("a");
    let store = open_syncing(&volume, Some(EIO)).await.0;
    push_image(&store, &name, "v1", "x").await;
    drop(store);
    for closes in [true, false] {
        let predecessor = volume.open().await;
        if closes {
            predecessor.close().await;
        }
        drop(predecessor);
        // as the first version left it, and as who has copied the volume since, with all times, would leave it
        std::fs::write(volume.keys().clean(), b"closed\n").unwrap();
        File::open(volume.keys().clean())
            .unwrap()
            .set_modified(now() + Duration::from_mins(1))
            .unwrap();
        let (store, tell) = open_syncing(&volume, None).await;
        assert!(
            !volume.keys().clean().exists(),
            "the first version would trust it again"
        );
        let push = push_blob(&store, &name, b"y");
        let early = tokio::time::timeout(Duration::from_millis(50), push).await;
        assert!(early.is_err(), "a write did not wait for the sync");
        assert!(store.manifest_read(&name, &"v1".parse().unwrap()).await.is_ok());
        tell.send(Ok(())).unwrap();
        push_blob(&store, &name, b"y").await;
    }
}

#[tokio::test]
async fn successor_syncs_the_volume_again_when_the_predecessor_has_closed_before_it_had() {
    let volume = Volume::new();
    push_image(&volume.open().await, &repository("a"), "v1", "x").await;
    let (predecessor, tell) = open_syncing(&volume, None).await;
    predecessor.close().await;
    let store = open_syncing(&volume, Some(EIO)).await.0;
    tell.send(Ok(())).unwrap();
    let refused = try_push_blob(&store, &repository("a"), b"y").await;
    assert!(
        matches!(
            refused,
            Err(UploadError::Fault(Fault::ReadOnly {
                reason: ReadOnlyReason::Failed(_)
            }))
        ),
        "{refused:?}"
    );
}

/// Set for the half of the test below that runs as another user.
const FOREIGN_VOLUME: &str = "PORTOLAN_TEST_FOREIGN_VOLUME";
const FOREIGN_USER: u32 = 65532;

fn foreign_volume() -> Option<PathBuf> {
    std::env::var_os(FOREIGN_VOLUME).map(PathBuf::from)
}

#[tokio::test]
async fn volume_of_another_user_is_served_read_only_with_a_sentence() {
    if let Some(path) = foreign_volume() {
        return pulls_work_and_pushes_tell_why_not(&path).await;
    }
    let volume = Volume::new();
    let store = volume.open().await;
    push_image(&store, &repository("a"), "v1", "x").await;
    store.close().await;
    drop(store);
    if !rustix::process::geteuid().is_root() {
        // Nobody but root can become somebody else; a directory without write permission is refused alike.
        std::fs::set_permissions(volume.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
        pulls_work_and_pushes_tell_why_not(volume.path()).await;
        return std::fs::set_permissions(volume.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    std::fs::set_permissions(volume.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let name = "store::tests::open::volume_of_another_user_is_served_read_only_with_a_sentence";
    let child = |uid: u32| {
        // The magic link leads to this program even where another user may not go.
        let mut command = Command::new("/proc/self/exe");
        command
            .args(["--exact", name])
            .env(FOREIGN_VOLUME, volume.path())
            .current_dir("/")
            .uid(uid)
            .gid(uid);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    };
    child(FOREIGN_USER);
    // The mount point was handed over, what is below was not.
    chown(volume.path(), Some(FOREIGN_USER), Some(FOREIGN_USER)).unwrap();
    child(FOREIGN_USER);
}

async fn pulls_work_and_pushes_tell_why_not(path: &Path) {
    let options = StoreOptions {
        path: path.to_owned(),
        volume: VolumeOptions::default(),
        lock_timeout: Duration::ZERO,
        upload_idle_timeout: Duration::from_hours(24),
        open_uploads: 1,
        requirements: Requirements::default(),
        clock: Arc::new(now),
        random: Arc::new(rand::random),
    };
    let store = Store::open(options).await.unwrap();
    let name = repository("a");
    assert!(store.manifest_read(&name, &"v1".parse().unwrap()).await.is_ok());
    assert_eq!(
        read_blob(&store, &name, &digest_of(b"layer of x")).await,
        b"layer of x"
    );
    let refused = try_push_blob(&store, &name, b"y").await;
    let Err(UploadError::Fault(Fault::ReadOnly {
        reason: ReadOnlyReason::NotWritable(sentence),
    })) = refused
    else {
        panic!("{refused:?}")
    };
    let user = rustix::process::geteuid().as_raw();
    assert_eq!(
        store.read_only(),
        Some(ReadOnlyReason::NotWritable(sentence.clone()))
    );
    let remedies = [
        format!("`chown -R {user}:{user} {}`", path.display()),
        "`--user ".into(),
        format!("as user {user}"),
    ];
    for part in remedies {
        assert!(sentence.contains(&part), "{sentence}");
    }
    assert!(store.expire_uploads().await.is_ok());
    store.close().await;
}

#[tokio::test]
async fn volume_on_which_case_makes_no_difference_is_refused_unless_it_is_allowed() {
    let volume = Volume::new();
    volume.open().await.close().await;
    let lock = volume.keys().lock();
    // a second name of one file, as every file has there
    std::fs::hard_link(&lock, lock.with_file_name("lock")).unwrap();
    let error = Store::open(volume.options()).await.unwrap_err();
    assert!(matches!(error, OpenError::CaseInsensitive { .. }), "{error}");
    let options = StoreOptions {
        volume: VolumeOptions {
            allow_unsafe_filesystem: true,
            ..VolumeOptions::default()
        },
        ..volume.options()
    };
    let store = Store::open(options).await.unwrap();
    push_blob(&store, &repository("a"), b"x").await;
}

#[tokio::test]
async fn read_only_store_changes_nothing_and_locks_nobody_out() {
    let volume = Volume::new();
    let options = || StoreOptions {
        volume: VolumeOptions {
            read_only: true,
            ..VolumeOptions::default()
        },
        ..volume.options()
    };
    let store = Store::open(options()).await.unwrap();
    assert_eq!(store.read_only(), Some(ReadOnlyReason::Configured));
    assert_eq!(std::fs::read_dir(volume.path()).unwrap().count(), 0);
    let refused = try_push_blob(&store, &repository("a"), b"x").await;
    assert!(matches!(
        refused,
        Err(UploadError::Fault(Fault::ReadOnly {
            reason: ReadOnlyReason::Configured
        }))
    ));
    let digest = push_blob(&volume.open().await, &repository("a"), b"x").await;
    assert_eq!(read_blob(&store, &repository("a"), &digest).await, b"x");
}
