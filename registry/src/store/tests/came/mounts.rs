//! A mount and the push of an index that names what is mounted, at the same time.

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::store::disk::{Seam, Step};

/// Lets a mount write its link when the record of an index is about to come to its place, and keeps it from making that
/// durable until the index is acknowledged.
struct Between {
    /// The record, the directory of the link, and the mark.
    places: OnceLock<[PathBuf; 3]>,
    mount: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    /// Gone once the link is there.
    linking: Mutex<Option<Sender<()>>>,
    linked: Mutex<Receiver<()>>,
    acknowledged: Mutex<Receiver<()>>,
    steps: Mutex<Vec<&'static str>>,
}

impl Seam for Arc<Between> {
    fn before(&self, step: Step, path: &Path) -> io::Result<()> {
        let Some([record, directory, mark]) = self.places.get() else {
            return Ok(());
        };
        if step == Step::Rename && path == record {
            let mount = disk::lock(&self.mount).take();
            mount.unwrap()();
            let _ = disk::lock(&self.linked).recv();
        } else if step == Step::Write && path == mark {
            disk::lock(&self.steps).push("marked");
        } else if step == Step::SyncDirectory && path == directory {
            let is_first = disk::lock(&self.linking).take().is_some();
            if is_first {
                let _ = disk::lock(&self.acknowledged).recv();
            } else {
                disk::lock(&self.steps).push("link durable");
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn an_index_makes_the_link_of_a_mount_durable_before_it_marks_what_it_leads_to() {
    let volume = Volume::new();
    let ((linking, linked), (acknowledge, acknowledged)) = (channel(), channel::<()>());
    let between = Arc::new(Between {
        places: OnceLock::new(),
        mount: Mutex::default(),
        linking: Mutex::new(Some(linking)),
        linked: Mutex::new(linked),
        acknowledged: Mutex::new(acknowledged),
        steps: Mutex::default(),
    });
    let seam = Box::new(Arc::clone(&between));
    let store = Store::open_through(volume.options(), seam).await.unwrap();
    let (name, source, keys) = (repository("a"), repository("b"), volume.keys());
    let blob = push_blob(&store, &source, b"cache").await;
    let document = index(&[&blob]);
    let record = keys.absent(&name, &digest_of(document.to_string().as_bytes()));
    let link = keys.layer_link(&name, &blob);
    let places = [record, link.parent().unwrap().to_owned(), keys.came(&name, &blob)];
    let (client, target, runtime) = (store.clone(), name.clone(), tokio::runtime::Handle::current());
    let (tell, told) = oneshot::channel();
    *disk::lock(&between.mount) = Some(Box::new(move || {
        drop(runtime.spawn(async move {
            let mounted = client.blob_mount(MountSource::Repository(source), &target, &blob);
            tell.send(mounted.await.unwrap()).unwrap();
        }));
    }));
    between.places.set(places).unwrap();
    put(&store, &name, "multi", &document).await.unwrap();
    assert_eq!(*disk::lock(&between.steps), ["link durable", "marked"]);
    drop(acknowledge);
    assert!(told.await.unwrap());
}
