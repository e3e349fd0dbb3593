//! A power cut of a local server. Only what was forced to the disk is sure to be there; the rest may be there or not.
//!
//! strace tells what the server did, in order. From that the test makes directories that a cut could have left at any moment, and
//! starts the server on them. `POWER_CUTS=60 cargo test --test system power_cut` tries more of them than usual.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::audit::{Audit, objects_in_directory};
use crate::curl::Urls;
use crate::load::{number_from, seeded, some_pictures};
use crate::program::tempdir::TempDir;
use crate::program::{LocalServer, wait_until};
use samples::mutate::Random;

/// Directories to start on, unless `POWER_CUTS` says otherwise.
const DEFAULT_CUTS: usize = 24;

/// What the server can do to its directory, and say to a client.
const CALLS: &str = "openat,write,pwrite64,writev,sendto,fsync,fdatasync,mkdir,mkdirat,rename,renameat,renameat2,\
    unlink,unlinkat,rmdir,link,linkat,truncate,ftruncate";

/// Names, by path. A file is known by its number, and a directory has none.
type Names = BTreeMap<String, Option<usize>>;

/// A disk, as the system shows it and as it would be found after a cut.
#[derive(Clone, Default)]
struct Disk {
    shown: Names,
    sure: Names,
    /// The files whose bytes are sure.
    synced: BTreeSet<usize>,
    files: usize,
    /// The images whose uploads were answered 202 so far.
    answered: BTreeSet<String>,
}

/// A system call that succeeded, and what was on the disk when it began.
struct Call<'a> {
    name: &'a str,
    arguments: String,
    before: Disk,
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The texts between these characters.
fn between(text: &str, open: char, close: char) -> Vec<&str> {
    let parts = text.split(open).skip(1);
    if open == close {
        parts.step_by(2).collect()
    } else {
        parts.filter_map(|part| part.split(close).next()).collect()
    }
}

impl Disk {
    fn apply(&mut self, call: &Call) {
        let quoted = between(&call.arguments, '"', '"');
        let opened = between(&call.arguments, '<', '>').first().copied().unwrap_or_default();
        match call.name {
            "openat" if call.arguments.contains("O_CREAT") && !self.shown.contains_key(quoted[0]) => {
                self.shown.insert(quoted[0].to_owned(), Some(self.files));
                self.files += 1;
            }
            "write" | "pwrite64" | "writev" | "ftruncate" => {
                if let Some(Some(file)) = self.shown.get(opened) {
                    self.synced.remove(file);
                }
            }
            "fsync" | "fdatasync" => match call.before.shown.get(opened) {
                Some(Some(file)) => {
                    self.synced.insert(*file);
                }
                _ => {
                    let is_in_it = |path: &str| parent(path) == opened;
                    self.sure.retain(|path, _| !is_in_it(path));
                    let names = call.before.shown.iter().filter(|(path, _)| is_in_it(path));
                    self.sure.extend(names.map(|(path, file)| (path.clone(), *file)));
                }
            },
            "mkdir" => {
                self.shown.insert(quoted[0].to_owned(), None);
            }
            "rename" => {
                let file = self.shown.remove(quoted[0]).expect("it was there");
                self.shown.insert(quoted[1].to_owned(), file);
            }
            "unlink" | "rmdir" => {
                self.shown.remove(quoted[0]);
            }
            "sendto" if call.arguments.contains("HTTP/1.1 202") => {
                let url = call.arguments.split("/original").next().expect("a body");
                self.answered.insert(url[url.len() - 32..].to_owned());
            }
            // The last is of the gate's socket, which is elsewhere.
            "openat" | "sendto" | "unlinkat" => {}
            other => panic!("{other}({}) is not known here", call.arguments),
        }
    }
}

/// The disk after each step, from what strace wrote.
fn history(trace: &str) -> Vec<Disk> {
    let mut disks = vec![Disk::default()];
    let mut begun: BTreeMap<&str, (String, Disk)> = BTreeMap::new();
    for line in trace.lines() {
        let now = disks.last().expect("there is a first");
        let (process, rest) = line.trim_start().split_once(' ').expect("a process");
        let rest = rest.trim_start();
        if let Some(start) = rest.strip_suffix(" <unfinished ...>") {
            begun.insert(process, (start.to_owned(), now.clone()));
            continue;
        }
        let (whole, before) = match rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            Some((_, end)) => {
                let (start, before) = begun.remove(process).expect("it has begun");
                (start + end, before)
            }
            None => (rest.to_owned(), now.clone()),
        };
        let Some((call, result)) = whole.rsplit_once(" = ") else { continue }; // a signal, or an end
        let Some((name, arguments)) = call.split_once('(') else { continue };
        if !result.starts_with('-') && !result.starts_with('?') {
            let mut disk = now.clone();
            disk.apply(&Call { name, arguments: arguments.to_owned(), before });
            disks.push(disk);
        }
    }
    disks
}

/// What a cut leaves of that which is not sure.
#[derive(Clone, Copy, Debug)]
enum Rest {
    /// None of it is there, and files that were not forced to the disk are empty.
    Gone,
    /// All names are there, and such files are half there.
    Half,
    /// As it happens.
    Mixed,
}

/// Makes the server's directory as a cut would leave it. `contents` are what the files came to hold.
fn leave(
    disk: &Disk,
    root: &str,
    rest: Rest,
    contents: &BTreeMap<usize, Vec<u8>>,
    random: &mut Random,
) -> TempDir {
    let mut keep = || match rest {
        Rest::Gone => false,
        Rest::Half => true,
        Rest::Mixed => random.below(2) == 0,
    };
    let mut names = disk.sure.clone();
    for (path, file) in &disk.shown {
        if names.get(path) != Some(file) && keep() {
            names.insert(path.clone(), *file);
        }
    }
    names.retain(|path, _| disk.shown.contains_key(path) || !keep());
    let left = TempDir::new();
    if !names.contains_key(root) {
        return left;
    }
    for (path, file) in &names {
        let Some(name) = path.strip_prefix(root).and_then(|name| name.strip_prefix('/')) else { continue };
        let path = left.path().join(name);
        if !path.parent().is_some_and(Path::exists) {
            continue; // its directory's own name is lost
        }
        match file {
            None => fs::create_dir(path).unwrap(),
            Some(file) => {
                let whole = contents.get(file).map_or(&b"whatever it was"[..], Vec::as_slice);
                let bytes = match disk.synced.contains(file) {
                    true => whole.len(),
                    false if keep() => whole.len() / 2,
                    false => 0,
                };
                fs::write(path, &whole[..bytes]).unwrap();
            }
        }
    }
    left
}

/// Starts the server on what a cut has left, and makes sure of what was answered 202 before it.
fn survives(left: TempDir, answered: &BTreeSet<String>, uploads: &[(Urls, Arc<[u8]>)]) {
    let server = LocalServer::start_on(Arc::new(left), &[]);
    let audit = Audit::default();
    for (urls, picture) in uploads {
        audit.expect(picture);
        if answered.contains(&urls.id().to_string()) {
            audit.note(urls.clone(), picture);
        }
    }
    assert_eq!(audit.nothing_is_lost_at(&server.url), answered.len());
    let tally = audit.tally(|| objects_in_directory(server.directory()));
    assert!(tally.lost == 0 && tally.unfinished == 0 && tally.wrong.is_empty(), "{tally:?}");
}

#[test]
fn nothing_is_lost_in_a_power_cut() {
    let mut random = seeded();
    let traced = TempDir::new();
    let trace = traced.path().join("trace");
    let prelude = format!(
        "exec strace -D -f -y -s 1024 -o {} --seccomp-bpf -e trace={CALLS} \"$0\" \"$1\" \"$2/data\"",
        trace.display()
    );
    let (program, directory) = LocalServer::start_in_shell(&prelude);
    let mut server = LocalServer::from(program, directory);
    let root = server.directory().join("data");
    let audit = Audit::default();
    let pictures = some_pictures();
    let uploads: Vec<(Urls, Arc<[u8]>)> = std::thread::scope(|scope| {
        let upload = |picture| (audit.upload(&server.url, picture).urls(), Arc::clone(picture));
        let clients = pictures.iter().take(4).map(|picture| scope.spawn(move || upload(picture)));
        clients.collect::<Vec<_>>().into_iter().map(|client| client.join().expect("no panic")).collect()
    });
    assert_eq!(audit.nothing_is_lost(), uploads.len());
    server.program.terminate();
    server.program.exit();
    let trace = wait_until("strace has ended", || {
        fs::read_to_string(&trace)
            .ok()
            .filter(|trace| trace.lines().last().is_some_and(|line| line.contains("+++")))
    });

    let disks = history(&trace);
    let last = disks.last().expect("there is a first");
    assert_eq!(last.answered.len(), uploads.len(), "or strace is not understood");
    let files = last.shown.iter().filter_map(|(path, file)| Some(((*file)?, fs::read(path).ok()?)));
    let contents: BTreeMap<usize, Vec<u8>> = files.collect();
    let root = root.to_str().expect("a path in UTF-8");

    // Each answer, at the very moment; and then any moments.
    let answers = disks.windows(2).filter(|pair| pair[0].answered.len() < pair[1].answered.len());
    let mut cuts: Vec<(&Disk, Rest)> = answers.map(|pair| (&pair[1], Rest::Gone)).collect();
    for _ in 0..number_from("POWER_CUTS", DEFAULT_CUTS) {
        let disk = &disks[random.below(disks.len())];
        cuts.push((disk, [Rest::Gone, Rest::Half, Rest::Mixed][random.below(3)]));
    }
    println!("{} system calls, {} power cuts", disks.len(), cuts.len());
    for (disk, rest) in cuts {
        survives(leave(disk, root, rest, &contents, &mut random), &disk.answered, &uploads);
    }
}
