//! A disk that is full, and then has room again. It is a small one of the test's own, in a mount namespace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::audit::{Audit, objects_in_directory};
use crate::curl::curl;
use crate::load::{Load, some_pictures};
use crate::program::{LocalServer, wait_until, wait_within};

/// Starts the server where its directory is a disk of 2 MiB, which goes with it. `$2` is the directory.
const ON_A_SMALL_DISK: &str =
    r#"exec unshare --mount sh -c 'mount -t tmpfs -o size=2m none "$2" && exec "$0" "$@"' "$0" "$@""#;

/// Failed jobs wait 5, 20 and 80 s, and a worker whose jobs keep failing is slow to take them.
const ALL_DONE_WITHIN: Duration = Duration::from_secs(150);

/// The server, and the directory as it sees it.
fn start() -> (LocalServer, PathBuf) {
    assert!(rustix::process::geteuid().is_root(), "mounting a disk takes root: run the tests as root");
    let (program, directory) = LocalServer::start_in_shell(ON_A_SMALL_DISK);
    let server = LocalServer::from(program, directory);
    let inside = format!("/proc/{}/root{}", server.program.id(), server.directory().display());
    (server, PathBuf::from(inside))
}

/// The disk has room again.
fn enlarge(server: &LocalServer) {
    let process = server.program.id().to_string();
    let mut command = Command::new("nsenter");
    command
        .args(["--target", &process, "--mount", "mount", "-o", "remount,size=64m"])
        .arg(server.directory());
    assert!(command.status().expect("nsenter is installed: it comes with util-linux").success());
}

fn nothing_is_being_written(directory: &Path) -> bool {
    fs::read_dir(directory.join(".tmp")).unwrap().count() == 0
}

/// Images of which there is only the directory.
fn empty_images(directory: &Path) -> usize {
    let images = fs::read_dir(directory).unwrap().flatten().filter(|entry| entry.file_name().len() == 32);
    images.filter(|image| fs::read_dir(image.path()).unwrap().next().is_none()).count()
}

#[test]
fn uploads_are_turned_away_while_the_disk_is_full() {
    let (server, directory) = start();
    let audit = Arc::new(Audit::default());
    let load = Load::start(3, Duration::ZERO, &server.url, &audit);
    let healthz = format!("{}/healthz", server.url);
    wait_until("many uploads are turned away, and jobs fail", || {
        assert_eq!(curl(&[&healthz]).status, 200);
        let turned_away =
            server.program.count_lines_with(&["error unavailable", "what=store", "No space left"]);
        let failed = server.program.count_lines_with(&["error job_failed", "No space left"]);
        (turned_away > 100 && failed > 0).then_some(())
    });
    let answers = load.stop();
    wait_until("nothing is being written", || nothing_is_being_written(&directory).then_some(()));
    let full = audit.tally(|| objects_in_directory(&directory));
    println!("full disk: {answers:?}; {full}");
    assert!(answers.unanswered == 0 && answers.turned_away >= 100, "{answers:?}");
    assert!(full.lost == 0 && full.wrong.is_empty() && full.unfinished > 0, "{full:?}");
    assert_eq!((full.untold_originals, full.untold_images, empty_images(&directory)), (0, 0, 0));

    enlarge(&server);
    audit.upload(&server.url, &some_pictures()[0]).urls();
    let room = wait_within(ALL_DONE_WITHIN, "what failed for lack of room is done", || {
        let tally = audit.tally(|| objects_in_directory(&directory));
        (tally.unfinished == 0).then_some(tally)
    });
    println!("with room again: {room}");
    assert!(room.lost == 0 && room.wrong.is_empty(), "{room:?}");
    assert_eq!((room.untold_originals, room.untold_images), (0, 0));
    assert_eq!(audit.nothing_is_lost(), answers.accepted + 1);
}
