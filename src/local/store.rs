//! Objects as files: `{directory}/{id}/{name}.{ext}`, the same path as in a bucket.
//!
//! A file appears under its name whole or not at all: it is written under another name, forced to the disk, and only then
//! renamed. The names are made from typed keys, so no text from a client reaches the file system.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::domain::failure::Failure;
use crate::domain::image_id::ImageId;
use crate::domain::key::Key;
use crate::domain::store::{Listed, Listing, Store, StoreError};
use crate::support::log;

/// Where files are written before they are renamed. It is emptied at the start.
const TEMPORARY: &str = ".tmp";

/// A process holds a lock on this file while it uses the directory, so that no second process does.
const LOCK: &str = ".lock";

pub struct LocalStore {
    root: PathBuf,
    /// Held while a new object gets its name, so that no two objects get the same.
    creating: Mutex<()>,
    /// The lock ends when this file is closed, however the process ends.
    _lock: File,
}

impl LocalStore {
    /// Opens the directory, and makes it if it is missing. Fails if another process has it open.
    pub fn open(root: &Path) -> io::Result<LocalStore> {
        let named = |path: &Path, error: io::Error| {
            let advice = "choose a directory that this user may write to";
            io::Error::new(error.kind(), format!("{}: {error}: {advice}", path.display()))
        };
        let temporary = root.join(TEMPORARY);
        make_directory(&temporary).map_err(|error| named(&temporary, error))?;
        // A killed process may have created the directory without flushing its parent. If we may not open the parent, someone
        // else created it.
        let _ = File::open(parent_of(root)).and_then(|parent| parent.sync_all());
        let lock_path = root.join(LOCK);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(|error| named(&lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!(
                    "{}: another server uses this directory: stop it, or choose another one",
                    root.display()
                );
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, message));
            }
            Err(TryLockError::Error(error)) => return Err(named(&lock_path, error)),
        }
        let emptied = fs::read_dir(&temporary).and_then(|mut entries| {
            entries.try_for_each(|entry| fs::remove_file(entry?.path())) // what a killed process was writing
        });
        emptied.map_err(|error| named(&temporary, error))?;
        Ok(LocalStore { root: root.to_owned(), creating: Mutex::new(()), _lock: lock })
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.directory(key).join(key.file_name())
    }

    fn directory(&self, key: &Key) -> PathBuf {
        self.root.join(key.id.to_string())
    }

    /// Writes the bytes to a temporary file, forces them to the disk, and has `publish` move the file to its key's path.
    fn write(
        &self,
        key: &Key,
        bytes: &[u8],
        publish: impl Fn(&Path, &Path) -> io::Result<()>,
    ) -> io::Result<()> {
        let temporary = self.root.join(TEMPORARY).join(ImageId::random()?.to_string());
        let written = self.write_and_publish(&temporary, key, bytes, publish);
        let _ = fs::remove_file(&temporary); // gone already after a rename
        if written.is_err() {
            let _ = fs::remove_dir(self.directory(key)); // unless something is in it
        }
        written
    }

    fn write_and_publish(
        &self,
        temporary: &Path,
        key: &Key,
        bytes: &[u8],
        publish: impl Fn(&Path, &Path) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut file = File::create_new(temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file); // at most one descriptor at a time
        let directory = self.directory(key);
        make_directory(&directory)?;
        let directory = File::open(&directory)?; // opened before anything is published, in case there is no descriptor
        let path = self.path(key);
        publish(temporary, &path)?;
        // A name is safe once its directory is flushed. If that fails, the file is removed again.
        directory.sync_all().inspect_err(|_| drop(fs::remove_file(&path)))
    }
}

impl Store for LocalStore {
    fn create(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError> {
        let publish = |temporary: &Path, path: &Path| {
            let _creating = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
            if path.try_exists()? {
                Err(io::ErrorKind::AlreadyExists.into())
            } else {
                fs::rename(temporary, path)
            }
        };
        self.write(key, bytes, publish).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => StoreError::Exists(*key),
            _ => failed("create", key, error),
        })
    }

    fn put(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError> {
        self.write(key, bytes, |temporary, path| fs::rename(temporary, path))
            .map_err(|error| failed("put", key, error))
    }

    fn get(&self, key: &Key, max_bytes: usize) -> Result<Vec<u8>, StoreError> {
        match read_at_most(&self.path(key), max_bytes) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(StoreError::TooLarge { key: *key, max_bytes }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::NotFound(*key)),
            Err(error) => Err(failed("get", key, error)),
        }
    }

    fn exists(&self, key: &Key) -> Result<bool, StoreError> {
        self.path(key).try_exists().map_err(|error| failed("exists", key, error))
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        match fs::remove_file(self.path(key)) {
            Ok(()) => {
                let _ = fs::remove_dir(self.directory(key)); // unless something else is in it
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed("delete", key, error)),
        }
    }

    /// Reads the ids now and keeps them in memory, 16 bytes each, so a listing that begins before a server serves has none of
    /// its uploads. The objects of an image are read when its page is.
    fn list(&self, after: Option<ImageId>, page: usize) -> Result<Listing, StoreError> {
        let ids = fs::read_dir(&self.root).and_then(|entries| ids_after(after, entries));
        let ids = ids.map_err(|error| {
            StoreError::Failed(Failure::of_io(format!("list {}", self.root.display()), error))
        })?;
        let root = self.root.clone();
        let mut objects = ids.into_iter().flat_map(move |id| objects_or_none(id, &root.join(id.to_string())));
        let next_page = move || objects.by_ref().take(page).collect::<Vec<_>>();
        let pages = iter::repeat_with(next_page).take_while(|page| !page.is_empty());
        Ok(Box::new(pages.map(Ok)))
    }
}

/// The names that are ids, in order.
fn ids_after(after: Option<ImageId>, entries: fs::ReadDir) -> io::Result<Vec<ImageId>> {
    let mut ids = Vec::new();
    for entry in entries {
        let id = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        ids.extend(id.filter(|id| Some(*id) > after));
    }
    ids.sort_unstable();
    Ok(ids)
}

fn objects_or_none(id: ImageId, directory: &Path) -> Vec<Listed> {
    match objects_of(id, directory) {
        Ok(objects) => {
            if objects.is_empty() {
                // A killed process was about to fill it. A directory that is not empty stays.
                let _ = fs::remove_dir(directory);
            }
            objects
        }
        // A directory that cannot be read is no reason to leave out the others.
        Err(error) => {
            log::warn("left_out", &[("directory", &directory.display()), ("error", &error)]);
            Vec::new()
        }
    }
}

fn objects_of(id: ImageId, directory: &Path) -> io::Result<Vec<Listed>> {
    let mut objects = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let key = entry.file_name().to_str().and_then(|name| format!("{id}/{name}").parse::<Key>().ok());
        if let Some(key) = key {
            objects.push(Listed { key, modified: entry.metadata()?.modified()? });
        }
    }
    objects.sort_unstable_by_key(|object| object.key.file_name());
    Ok(objects)
}

/// Makes a directory and its parents where they are missing, and forces their names to the disk.
fn make_directory(path: &Path) -> io::Result<()> {
    let parent = parent_of(path);
    let made = match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_directory(parent)?;
            fs::create_dir(path)
        }
        made => made,
    };
    match made {
        Ok(()) => File::open(parent)?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn failed(operation: &str, key: &Key, error: io::Error) -> StoreError {
    StoreError::Failed(Failure::of_io(format!("{operation} {key}"), error))
}

/// The whole file, or `None` if it has over `max_bytes`.
fn read_at_most(path: &Path, max_bytes: usize) -> io::Result<Option<Vec<u8>>> {
    let file = File::open(path)?;
    let mut bytes = Vec::with_capacity(file.metadata()?.len().min(max_bytes as u64) as usize);
    file.take(max_bytes as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() <= max_bytes))
}
