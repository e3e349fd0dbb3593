//! Runs servers that are not ours, such as the engine, so that they end with the test process, however that ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::program::wait_until;

/// Runs a program until it ends, or until this script's standard input does: then the test process is gone or has dropped the
/// value below. It then removes the program's directory. Arguments: the directory, the program, its arguments.
const KEEPER: &str = r#"
    directory=$1
    shift
    exec 3<&0 2>/dev/null
    "$@" 3<&- </dev/null >"$directory/log" 2>&1 &
    program=$!
    echo $program >"$directory/pid"
    (cat <&3 >/dev/null; kill -9 $program) &
    watcher=$!
    exec 3<&- </dev/null
    wait $program
    kill $watcher
    rm -rf "$directory"
"#;

/// A running program of one process.
pub(crate) struct Kept {
    /// Its standard input stays open as long as this value lives.
    keeper: Child,
    log: PathBuf,
}

impl Kept {
    /// Starts it with a directory of its own, which goes with it and is where its output is.
    pub(crate) fn start(program: &Command, directory: &Path) -> Kept {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", KEEPER, "keeper"])
            .arg(directory)
            .arg(program.get_program())
            .args(program.get_args());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let keeper = shell.stdin(Stdio::piped()).spawn().expect("sh runs");
        Kept { keeper, log: directory.join("log") }
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.keeper.try_wait().expect("a child can be waited for").is_some()
    }

    /// The program's process.
    pub(crate) fn id(&self) -> u32 {
        let written = || fs::read_to_string(self.log.with_file_name("pid")).ok()?.trim().parse().ok();
        wait_until("the program is started", written)
    }

    /// What it said so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
