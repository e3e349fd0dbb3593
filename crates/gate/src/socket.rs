//! The private socket between the gate and upstream: a file in a directory that only this user can enter.
//!
//! An abstract socket would need no file, but every user of the machine could connect to it, and upstream trusts its
//! clients.

use std::error::Error;
use std::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::hooks::random_id;

pub struct PrivateSocket {
    /// For upstream. Once it is dropped the gate knows that upstream has ended.
    pub listener: UnixListener,
    pub directory: SocketDirectory,
}

/// The socket's directory, which is removed when this is dropped.
pub struct SocketDirectory(PathBuf);

impl PrivateSocket {
    /// Listens in the first of these places where that is possible, in a directory whose name begins with `name`. A place that
    /// does not exist is created.
    pub fn bind(name: &str, places: &[PathBuf]) -> Result<PrivateSocket, NoPlace> {
        let mut tried = Vec::new();
        for place in places {
            match bind_in(place, name) {
                Ok(socket) => return Ok(socket),
                Err(error) => tried.push(Tried { place: place.clone(), error }),
            }
        }
        Err(NoPlace { tried })
    }
}

fn bind_in(place: &Path, name: &str) -> io::Result<PrivateSocket> {
    fs::create_dir_all(place)?; // a bare root directory has no /tmp
    let directory = place.join(format!("{name}-{}", random_id()));
    DirBuilder::new().mode(0o700).create(&directory)?; // an error if there is one of this name
    let directory = SocketDirectory(directory);
    let listener = UnixListener::bind(directory.path())?;
    Ok(PrivateSocket { listener, directory })
}

impl SocketDirectory {
    /// The socket's own path. The system allows about 100 bytes.
    pub fn path(&self) -> PathBuf {
        self.0.join("s")
    }
}

impl Drop for SocketDirectory {
    fn drop(&mut self) {
        // A directory that stays behind does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// In none of the places can a socket be made.
#[derive(Debug)]
pub struct NoPlace {
    tried: Vec<Tried>,
}

#[derive(Debug)]
struct Tried {
    place: PathBuf,
    error: io::Error,
}

impl fmt::Display for NoPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no place for the private socket (")?;
        for (number, Tried { place, error }) in self.tried.iter().enumerate() {
            let separator = if number > 0 { "; " } else { "" };
            write!(f, "{separator}{}: {error}", place.display())?;
        }
        f.write_str("): set TMPDIR to a directory with a short path that this user can write to")
    }
}

impl Error for NoPlace {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.tried.last().map(|tried| &tried.error as _)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A directory of the test's own, removed at its end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Scratch {
            let directory = std::env::temp_dir().join(format!("gate-{}", random_id()));
            fs::create_dir(&directory).unwrap();
            Scratch(directory)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// A place that is a file stands for one that cannot be written to: root can write to any directory.
    fn bad_places(scratch: &Path) -> [PathBuf; 3] {
        let file = scratch.join("file");
        fs::write(&file, "").unwrap();
        [file.clone(), file.join("below"), scratch.join("x".repeat(90))]
    }

    #[test]
    fn the_first_place_that_can_be_used_is_used() {
        let scratch = Scratch::new();
        for bad in bad_places(&scratch.0) {
            let good = scratch.0.join("new");
            let PrivateSocket { listener, directory } =
                PrivateSocket::bind("test", &[bad.clone(), good.clone()]).unwrap();
            let path = directory.path();
            assert!(path.starts_with(&good), "{}", path.display());
            let mode = fs::metadata(&directory.0).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
            assert!(UnixStream::connect(&path).is_ok());
            drop(listener);
            assert!(UnixStream::connect(&path).is_err(), "nobody listens");
            drop(directory);
            assert_eq!(fs::read_dir(&good).unwrap().count(), 0, "nothing stays behind");
            if bad.is_dir() {
                assert_eq!(fs::read_dir(&bad).unwrap().count(), 0, "nor where it did not work");
            }
        }
    }

    #[test]
    fn an_error_names_every_place() {
        let scratch = Scratch::new();
        let places = bad_places(&scratch.0);
        let error = PrivateSocket::bind("test", &places).err().unwrap();
        for place in places {
            assert!(error.to_string().contains(&format!("{}: ", place.display())), "{error}");
        }
        assert!(error.source().is_some());
    }
}
