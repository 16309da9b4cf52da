//! For how long nothing has named a manifest, over runs, restarts and wrong clocks.

use std::sync::atomic::AtomicU64;

use super::*;

const HOUR: Duration = Duration::from_hours(1);

/// A volume whose clock is set by hand. The process is a new one at each run, unless told otherwise.
struct Aging {
    volume: Volume,
    hours: Arc<AtomicU64>,
}

impl Aging {
    fn new() -> Self {
        Self {
            volume: Volume::in_memory(),
            hours: Arc::default(),
        }
    }

    async fn open(&self) -> Store {
        let (start, hours) = (now(), Arc::clone(&self.hours));
        let clock = move || start + HOUR * u32::try_from(hours.load(Ordering::SeqCst)).unwrap();
        let options = StoreOptions {
            clock: Arc::new(clock),
            ..self.volume.options()
        };
        Store::open(options).await.unwrap()
    }

    fn pass(&self, hours: u64) {
        self.hours.fetch_add(hours, Ordering::SeqCst);
    }

    async fn run_after(&self, hours: u64) -> CollectReport {
        self.pass(hours);
        run(&self.open().await).await
    }
}

async fn run(store: &Store) -> CollectReport {
    let options = CollectOptions {
        untagged_after: Some(HOUR * 36),
        ..at_once()
    };
    store.collect(options, |_| {}).await.unwrap()
}

async fn push_untagged(aging: &Aging) -> Image {
    Image::push(&aging.open().await, &repository("a"), None, "x").await
}

/// P118.
#[tokio::test]
async fn manifest_goes_once_nothing_has_named_it_for_long_enough() {
    let aging = Aging::new();
    push_untagged(&aging).await;
    for hours in [1000, 20, 15] {
        let report = aging.run_after(hours).await;
        assert_eq!((report.freed.manifests, report.kept.untagged_young), (0, 1));
    }
    assert_eq!(aging.run_after(1).await.freed.manifests, 1);
    assert!(list(&aging.volume.keys().untagged_in(&repository("a")).join("sha256")).is_empty());
}

#[tokio::test]
async fn a_long_pause_counts_as_one_interval() {
    let aging = Aging::new();
    push_untagged(&aging).await;
    aging.run_after(0).await;
    assert_eq!(aging.run_after(10_000).await.freed.manifests, 0);
    assert_eq!(aging.run_after(11).await.freed.manifests, 0);
    assert_eq!(aging.run_after(1).await.freed.manifests, 1);
}

#[tokio::test]
async fn a_wall_clock_that_jumps_while_the_process_runs_credits_nothing() {
    let aging = Aging::new();
    push_untagged(&aging).await;
    let store = aging.open().await;
    for _ in 0..5 {
        assert_eq!(run(&store).await.freed.manifests, 0);
        aging.pass(20);
    }
    drop(store);
    assert_eq!(aging.run_after(20).await.freed.manifests, 0);
    assert_eq!(aging.run_after(20).await.freed.manifests, 1);
}

#[tokio::test]
async fn a_wall_clock_that_jumps_while_a_hold_keeps_records_from_being_written_credits_nothing() {
    let aging = Aging::new();
    let image = push_untagged(&aging).await;
    let store = aging.open().await;
    run(&store).await;
    store.hold("backup").await.unwrap();
    aging.pass(20);
    run(&store).await;
    store.release("backup").await.unwrap();
    run(&store).await;
    let record = aging.volume.keys().untagged(&repository("a"), &image.digest);
    let record: Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    assert_eq!(record["creditedSeconds"], 0, "{record}");
}

#[tokio::test]
async fn tag_that_came_and_went_between_two_runs_begins_the_time_anew() {
    let aging = Aging::new();
    let name = repository("a");
    let image = push_untagged(&aging).await;
    aging.run_after(0).await;
    aging.run_after(24).await;
    let store = aging.open().await;
    put_as(&store, &name, Some("v1"), &image.document).await;
    assert!(!aging.volume.keys().untagged(&name, &image.digest).exists());
    store.tag_delete(&name, &tag("v1")).await.unwrap();
    drop(store);
    for hours in [24, 24, 11] {
        assert_eq!(aging.run_after(hours).await.freed.manifests, 0);
    }
    assert_eq!(aging.run_after(1).await.freed.manifests, 1);
}

#[tokio::test]
async fn record_that_is_lost_or_torn_begins_the_time_anew() {
    let aging = Aging::new();
    let image = push_untagged(&aging).await;
    let record = aging.volume.keys().untagged(&repository("a"), &image.digest);
    aging.run_after(0).await;
    aging.run_after(24).await;
    std::fs::remove_file(&record).unwrap();
    aging.run_after(24).await;
    aging.run_after(24).await;
    std::fs::write(&record, b"{\"first").unwrap();
    for hours in [24, 24, 11] {
        assert_eq!(aging.run_after(hours).await.freed.manifests, 0);
    }
    assert_eq!(aging.run_after(1).await.freed.manifests, 1);
}

#[tokio::test]
async fn nested_index_ages_as_a_whole_and_goes_as_a_whole() {
    let aging = Aging::new();
    let name = repository("a");
    let image = push_untagged(&aging).await;
    let store = aging.open().await;
    put_as(&store, &name, None, &index(&[&image.digest])).await;
    Image::push_about(&store, &name, None, "signature", Some(&image.digest)).await;
    drop(store);
    aging.run_after(0).await;
    assert_eq!(aging.run_after(24).await.freed.manifests, 0);
    assert_eq!(aging.run_after(12).await.freed.manifests, 3);
    assert_eq!(contents(&aging.volume), Vec::<String>::new());
}

#[tokio::test]
async fn records_of_what_is_named_again_or_gone_are_removed() {
    let aging = Aging::new();
    let name = repository("a");
    let image = push_untagged(&aging).await;
    let other = Image::push(&aging.open().await, &name, None, "other").await;
    aging.run_after(0).await;
    let records = aging.volume.keys().untagged_in(&name).join("sha256");
    assert_eq!(list(&records).len(), 2);
    let store = aging.open().await;
    put_as(&store, &name, Some("v1"), &index(&[&image.digest])).await;
    store.manifest_delete(&name, &other.digest).await.unwrap();
    drop(store);
    aging.run_after(1).await;
    assert!(list(&records).is_empty());
}

#[tokio::test]
async fn manifest_that_is_put_while_a_run_counts_begins_the_time_anew() {
    let name = repository("a");
    let mut points = 0;
    loop {
        let aging = Aging::new();
        let image = push_untagged(&aging).await;
        aging.run_after(0).await;
        aging.pass(24);
        let store = aging.open().await;
        let options = CollectOptions {
            untagged_after: Some(HOUR * 36),
            ..at_once()
        };
        let (client, document) = (store.clone(), image.document.clone());
        let moment = Arc::new(interposed::Moment::default());
        moment.after(points, move || async move {
            put_as(&client, &repository("a"), Some("v1"), &document).await;
        });
        let seam = Arc::clone(&moment);
        store.collect(options, move |_| seam.between()).await.unwrap();
        if !moment.join() {
            break;
        }
        store.tag_delete(&name, &tag("v1")).await.unwrap();
        drop(store);
        for hours in [24, 24, 11] {
            let freed = aging.run_after(hours).await.freed.manifests;
            assert_eq!(freed, 0, "point {points}");
        }
        points += 1;
    }
    // Before the run, at each reading of the repository, and afterwards.
    assert!(points > 7, "only {points} points were found");
}
