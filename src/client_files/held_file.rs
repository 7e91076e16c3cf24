//! A file that is replaced whole, by one process at a time.
//!
//! Owns     the draft beside the file, named `.NAME.new`: who makes it holds the file, and renaming it over
//!          the file is the change. A reader sees the old content or the new one, never a part of either.
//! Called   by `client_files`, which holds a client's file before it reads it.
//! Bounded  by the draft: a second process is refused at once.
//! Fails    with the file as it was. A process that is killed leaves its draft behind, and the next one's
//!          refusal says which file to delete.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::ChangeFault;

/// A new file is read by its owner and group, which are its folder's where that is permitted. It holds hashes
/// only, but the hash of a secret that a person chose can be searched.
#[cfg(unix)]
const NEW_FILE_MODE: u32 = 0o640;

/// A file held for one change.
#[derive(Debug)]
pub(super) struct HeldFile {
    file: PathBuf,
    draft: PathBuf,
    content: File,
    replaced: bool,
}

/// A held file whose new content is on the disk, and only has to take its place.
#[derive(Debug)]
pub(super) struct Draft(HeldFile);

impl HeldFile {
    /// Holds a file, which need not exist; its folder must.
    pub(super) fn hold(file: &Path) -> Result<Self, ChangeFault> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let draft = file.with_file_name(format!(".{name}.new"));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&draft) {
            Ok(content) => Ok(Self { file: file.to_owned(), draft, content, replaced: false }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(ChangeFault::Busy { draft }),
            Err(error) => Err(ChangeFault::system(&draft, "written")(error)),
        }
    }

    /// Writes the new content beside the file. What is there keeps its owner, group and mode.
    pub(super) fn draft(mut self, content: &[u8]) -> Result<Draft, ChangeFault> {
        self.content.write_all(content).map_err(ChangeFault::system(&self.draft, "written"))?;
        let access = match self.file.metadata() {
            Ok(old) => as_readable_as(&old, &self.content),
            Err(_) => as_readable_as_new(&self.file, &self.content),
        };
        access.map_err(ChangeFault::system(&self.draft, "given the file's owner and mode"))?;
        self.content.sync_all().map_err(ChangeFault::system(&self.draft, "written"))?;
        Ok(Draft(self))
    }
}

impl Draft {
    /// Puts the new content in the file's place.
    pub(super) fn replace(self) -> Result<(), ChangeFault> {
        let Self(mut held) = self;
        std::fs::rename(&held.draft, &held.file).map_err(ChangeFault::system(&held.file, "replaced"))?;
        held.replaced = true;
        sync_folder(&held.file);
        Ok(())
    }
}

impl Drop for HeldFile {
    fn drop(&mut self) {
        if !self.replaced {
            // One that stays is named by the next refusal.
            let _ = std::fs::remove_file(&self.draft);
        }
    }
}

/// The gateway may run as another user than the one who gives commands, and must still be able to read.
#[cfg(unix)]
fn as_readable_as(old: &Metadata, content: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let own = content.metadata()?;
    if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
        fchown(content, Some(old.uid()), Some(old.gid()))?;
    }
    content.set_permissions(old.permissions())
}

#[cfg(not(unix))]
fn as_readable_as(old: &Metadata, content: &File) -> io::Result<()> {
    content.set_permissions(old.permissions())
}

#[cfg(unix)]
fn as_readable_as_new(file: &Path, content: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let folder = file.parent().unwrap_or(Path::new(".")).metadata()?;
    // As far as it is permitted: a member of a group may give a file to that, the superuser to anybody.
    let _ = fchown(content, None, Some(folder.gid()));
    let _ = fchown(content, Some(folder.uid()), None);
    content.set_permissions(std::fs::Permissions::from_mode(NEW_FILE_MODE))
}

#[cfg(not(unix))]
fn as_readable_as_new(_file: &Path, _content: &File) -> io::Result<()> {
    Ok(())
}

/// A rename lasts over a loss of power once its folder is on the disk. Some file systems cannot be asked for
/// that; the change has been made all the same.
#[cfg(unix)]
fn sync_folder(file: &Path) {
    let _ = File::open(file.parent().unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
}

#[cfg(not(unix))]
fn sync_folder(_file: &Path) {}
