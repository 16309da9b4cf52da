//! What was answered to be there stays, also when it was asked for while a collection is about to remove it.

use std::sync::mpsc;

use super::*;
use crate::store::disk::{Seam, Step};

type Ask = Box<dyn FnOnce() -> bool + Send>;

/// Lets a client ask when one link is about to go. It has the answer then, or waits until the link has gone.
#[derive(Default)]
struct Removal {
    link: Mutex<Option<PathBuf>>,
    ask: Mutex<Option<Ask>>,
    asking: Mutex<Option<std::thread::JoinHandle<bool>>>,
}

struct Before(Arc<Removal>);

impl Seam for Before {
    fn before(&self, step: Step, path: &Path) -> std::io::Result<()> {
        let is_it = step == Step::Remove && self.0.link.lock().unwrap().as_deref() == Some(path);
        let ask = is_it.then(|| self.0.ask.lock().unwrap().take()).flatten();
        if let Some(ask) = ask {
            let (answered, answer) = mpsc::channel();
            *self.0.asking.lock().unwrap() = Some(std::thread::spawn(move || {
                let is_there = ask();
                answered.send(()).ok();
                is_there
            }));
            answer.recv_timeout(Duration::from_millis(300)).ok();
        }
        Ok(())
    }
}

/// Pushes something that nobody has asked for since two days, asks for it when a collection is about to remove its
/// link, and tells what the answer was and whether it is there afterwards.
async fn asked_at_removal<F>(
    make: impl AsyncFnOnce(&Store, &Keys) -> (Digest, PathBuf),
    ask: impl Fn(Store, Digest) -> F + Clone + Send + 'static,
) -> (bool, bool)
where
    F: Future<Output = bool> + Send,
{
    let volume = Volume::in_memory();
    let removal = Arc::new(Removal::default());
    let seam = Box::new(Before(Arc::clone(&removal)));
    let store = Store::open_through(volume.options(), seam).await.unwrap();
    let (digest, link) = make(&store, &volume.keys()).await;
    let file = std::fs::File::open(&link).unwrap();
    file.set_modified(now() - Duration::from_hours(48)).unwrap();
    let (client, wanted, asked) = (store.clone(), digest.clone(), ask.clone());
    *removal.link.lock().unwrap() = Some(link);
    *removal.ask.lock().unwrap() = Some(Box::new(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(asked(client, wanted))
    }));
    let options = CollectOptions {
        untagged_after: Some(Duration::ZERO),
        ..CollectOptions::default()
    };
    store.collect(options, |_| {}).await.unwrap();
    let asking = removal.asking.lock().unwrap().take();
    let answer = asking.expect("nothing was removed").join().unwrap();
    (answer, ask(store, digest).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blob_that_was_answered_to_be_there_is_not_removed_by_a_collection_that_was_about_to() {
    let make = async |store: &Store, keys: &Keys| {
        let blob = push_blob(store, &repository("a"), b"blob").await;
        let link = keys.layer_link(&repository("a"), &blob);
        (blob, link)
    };
    let (answer, after) = asked_at_removal(make, |store, digest| async move {
        store.blob_open(&repository("a"), &digest).await.is_ok()
    })
    .await;
    assert_eq!(answer, after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifest_that_was_answered_to_be_there_is_not_removed_by_a_collection_that_was_about_to() {
    let make = async |store: &Store, keys: &Keys| {
        let name = repository("a");
        let config = push_blob(store, &name, b"config").await;
        let document = image(&config, &[]);
        let digest = digest_of(document.to_string().as_bytes());
        put(store, &name, digest.as_str(), &document).await.unwrap();
        let link = keys.revision_link(&name, &digest);
        (digest, link)
    };
    let (answer, after) = asked_at_removal(make, |store, digest| async move {
        let reference = Reference::Digest(digest);
        store.manifest_head(&repository("a"), &reference).await.is_ok()
    })
    .await;
    assert_eq!(answer, after);
}
