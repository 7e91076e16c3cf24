//! Reloads by itself when a file of the clients folder changes (`[clients] watch`), or the listener's certificate or
//! key.
//!
//! Owns     the system's watch on the folders that the settings in force name.
//! Called   by `running.rs`, which starts it and ends it with the gateway.
//! Bounded  one wake-up waits, however many events come; a burst of them is one reload after `QUIET`, or one per
//!          `LONGEST` while it lasts.
//! Fails    never the gateway. A set that cannot be used changes nothing, and the reload's log says why; a folder
//!          that cannot be watched is tried again every `RETRY`, and then read as if it had changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::audit::Author;
use crate::clients_dir::is_client_file;
use crate::front::Front;
use crate::tls::Identity;

/// A burst of changes is over after this long without one: an editor's save is some three events within a few
/// milliseconds, a copied folder one event per file.
const QUIET: Duration = Duration::from_millis(200);

/// A burst that goes on is read this often all the same.
const LONGEST: Duration = Duration::from_secs(2);

/// How often a folder that could not be watched is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What is to be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Watched {
    clients: PathBuf,
    /// The certificate and its key, where there is TLS.
    pair: Vec<PathBuf>,
}

impl Watched {
    /// What the settings in force name; `None` where nothing is to be watched.
    fn by(front: &Front) -> Option<Self> {
        let settings = &front.live.load().settings;
        let files = settings.server.tls.as_ref().map(Identity::files);
        let pair = files.map(|files| vec![files.certificate.clone(), files.key.clone()]).unwrap_or_default();
        settings.watch.then(|| Self { clients: settings.clients_dir.clone(), pair })
    }

    /// Each folder once. A file is watched through its folder, since whoever replaces it gives the name to another
    /// file.
    fn folders(&self) -> Vec<&Path> {
        let of_pair = self.pair.iter().filter_map(|file| file.parent());
        let mut folders: Vec<_> =
            of_pair.map(|folder| if folder == "" { Path::new(".") } else { folder }).collect();
        folders.push(&self.clients);
        folders.sort_unstable();
        folders.dedup();
        folders
    }

    /// The names whose changes count, beside those of client files.
    fn names(&self) -> Names {
        let named = self.pair.iter().map(PathBuf::as_path).chain(self.folders());
        Names(named.filter_map(|path| Some(path.file_name()?.as_encoded_bytes().to_vec())).collect())
    }
}

/// Names of watched folders and files.
#[derive(Debug)]
struct Names(Vec<Vec<u8>>);

impl Names {
    /// Whether an event may have changed the set of clients, or the pair.
    fn matters(&self, event: &Event) -> bool {
        let is_change = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
            // Reading, which a reload does itself.
            EventKind::Access(_) => false,
            _ => true,
        };
        let counts = |path: &PathBuf| {
            let name = path.file_name().map(std::ffi::OsStr::as_encoded_bytes).unwrap_or_default();
            // Mounted configuration (Kubernetes) swaps a link named `..data` and leaves the files' own links alone.
            is_client_file(name) || name.starts_with(b"..") || self.0.iter().any(|known| known == name)
        };
        // Some events were lost, or it is one that counts.
        event.need_rescan() || (is_change && event.paths.iter().any(counts))
    }
}

/// The watch on all that is watched.
struct Watch {
    /// `None` while nothing is to be watched.
    watched: Option<Watched>,
    /// Ends the system's watch when dropped. `None` also where that could not be had.
    system: Option<RecommendedWatcher>,
}

impl Watch {
    /// Watches from now on. A watch belongs to one folder on the disk and not to its name, so after changes that may
    /// have replaced the folder there must be a new one.
    fn new(watched: Option<Watched>, changed: &Arc<Notify>) -> notify::Result<Self> {
        let system = watched.as_ref().map(|watched| watch(watched, Arc::clone(changed))).transpose()?;
        Ok(Self { watched, system })
    }

    /// As [`new`](Self::new); the log says what failed, unless it has failed before.
    fn renewed(self, watched: Option<Watched>, changed: &Arc<Notify>) -> Self {
        let had_failed = self.has_failed();
        Self::new(watched.clone(), changed).unwrap_or_else(|error| {
            if !had_failed {
                tracing::warn!(error = error.to_string(), "a folder cannot be watched; trying again");
            }
            Self { watched, system: None }
        })
    }

    fn has_failed(&self) -> bool {
        self.watched.is_some() && self.system.is_none()
    }
}

fn watch(watched: &Watched, changed: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let names = watched.names();
    // Called on a thread of the watcher's own.
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.map_or(true, |event| names.matters(&event)) {
            changed.notify_one();
        }
    })?;
    for folder in watched.folders() {
        let watching = watcher.watch(folder, RecursiveMode::NonRecursive);
        watching.map_err(|error| error.add_path(folder.to_owned()))?;
    }
    Ok(watcher)
}

/// Starts watching; what changes after this has returned is seen. Dropping the handle ends it.
pub fn start(front: &Arc<Front>) -> AbortOnDropHandle<()> {
    let changed = Arc::new(Notify::new());
    let none = Watch { watched: None, system: None };
    let first = none.renewed(Watched::by(front), &changed);
    AbortOnDropHandle::new(tokio::spawn(run(Arc::clone(front), first, changed)))
}

async fn run(front: Arc<Front>, mut watch: Watch, changed: Arc<Notify>) {
    loop {
        tokio::select! {
            () = changed.notified() => burst_over(&changed).await,
            () = front.reloader.has_finished() => {
                if Watched::by(&front) == watch.watched {
                    continue;
                }
            }
            () = tokio::time::sleep(RETRY), if watch.has_failed() => {}
        }
        // First the watch, then the reading: what changes in between is seen by one of them.
        watch = watch.renewed(Watched::by(&front), &changed);
        if watch.system.is_some() {
            // What it says is in the log.
            let _ = front.reloader.reload(&front, Author::Watch).await;
        }
    }
}

async fn burst_over(changed: &Notify) {
    let latest = Instant::now() + LONGEST;
    loop {
        let quiet = Instant::now() + QUIET;
        if tokio::time::timeout_at(quiet.min(latest), changed.notified()).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, MetadataKind, ModifyKind, RemoveKind, RenameMode};

    use super::*;

    /// Whether an event counts for a gateway that watches clients and a pair.
    fn matters(event: &Event) -> bool {
        let (clients, tls) = (PathBuf::from("/etc/gateway/clients"), Path::new("/etc/gateway/tls"));
        let pair = vec![tls.join("fullchain.pem"), tls.join("privkey.pem")];
        Watched { clients, pair }.names().matters(event)
    }

    fn event(kind: EventKind, name: &str) -> Event {
        Event::new(kind).add_path(Path::new("/etc/gateway/clients").join(name))
    }

    #[test]
    fn writing_renaming_and_removing_a_client_file_matters() {
        let kinds = [
            EventKind::Create(CreateKind::File),
            EventKind::Modify(ModifyKind::Data(DataChange::Any)),
            EventKind::Modify(ModifyKind::Metadata(MetadataKind::Permissions)),
            EventKind::Modify(ModifyKind::Name(RenameMode::To)),
            EventKind::Access(AccessKind::Close(AccessMode::Write)),
            EventKind::Remove(RemoveKind::File),
        ];
        for kind in kinds {
            assert!(matters(&event(kind, "ada.json")), "{kind:?}");
            assert!(matters(&event(kind, "..data")), "{kind:?}");
        }
    }

    #[test]
    fn replacing_the_certificate_or_its_key_matters() {
        for name in ["fullchain.pem", "privkey.pem"] {
            assert!(matters(&event(EventKind::Modify(ModifyKind::Name(RenameMode::To)), name)), "{name}");
        }
        assert!(!matters(&event(EventKind::Create(CreateKind::File), "fullchain.pem.new")));
    }

    /// A reload reads every file; were that a change, it would never end.
    #[test]
    fn reading_a_client_file_does_not_matter() {
        for mode in [AccessMode::Any, AccessMode::Read, AccessMode::Execute] {
            assert!(!matters(&event(EventKind::Access(AccessKind::Open(mode)), "ada.json")));
        }
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Read));
        assert!(!matters(&event(closed, "ada.json")));
    }

    #[test]
    fn what_editors_leave_beside_a_file_does_not_matter() {
        for name in [".ada.json.swp", "ada.json~", "4913", "#ada.json#", ".#ada.json", "ada.json.tmp"] {
            assert!(!matters(&event(EventKind::Create(CreateKind::File), name)), "{name}");
        }
    }

    #[test]
    fn the_end_of_the_folder_itself_and_lost_events_matter() {
        let gone = Event::new(EventKind::Remove(RemoveKind::Folder)).add_path("/etc/gateway/clients".into());
        assert!(matters(&gone));
        let lost = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        assert!(matters(&lost));
    }
}
