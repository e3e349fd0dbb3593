//! Starts the real programs, reads their logs, and makes sure that none outlives its test.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a test waits for what takes a moment on an idle machine: it may be busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running program. It is killed when dropped.
pub(crate) struct Program {
    child: Child,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

/// `server` or `worker`, with nothing of this process's environment that could be a setting.
pub(crate) fn command(name: &str) -> Command {
    let path = match name {
        "server" => env!("CARGO_BIN_EXE_server"),
        "worker" => env!("CARGO_BIN_EXE_worker"),
        _ => panic!("no program {name}"),
    };
    let mut command = Command::new(path);
    command.env_clear().env("TMPDIR", std::env::temp_dir()).stdin(Stdio::null());
    command
}

/// Runs a program that ends by itself.
pub(crate) fn run(name: &str, arguments: &[&str], environment: &[(String, String)]) -> Output {
    command(name).args(arguments).envs(environment.iter().cloned()).output().expect("the program starts")
}

/// All that a program printed.
pub(crate) fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

impl Program {
    pub(crate) fn start(name: &str, arguments: &[&str], environment: &[(String, String)]) -> Program {
        let mut command = command(name);
        command.args(arguments).envs(environment.iter().cloned());
        Program::spawn(name, command)
    }

    /// Starts what this command says, under a name for the log.
    pub(crate) fn spawn(name: &str, mut command: Command) -> Program {
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let stderr = child.stderr.take().expect("stderr is piped");
        let log = Arc::new(Log::default());
        let hearing = log.clone();
        let name = name.to_owned();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                eprintln!("{name}: {line}"); // shown by cargo if the test fails
                hearing.lines.lock().unwrap().push(line);
                hearing.more.notify_all();
            }
        });
        Program { child, log }
    }

    /// Waits for a line that contains all of `parts`, and returns it.
    pub(crate) fn line_with(&self, parts: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock().unwrap();
        loop {
            if let Some(line) = lines.iter().find(|line| parts.iter().all(|part| line.contains(part))) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no line with {parts:?} in {lines:#?}");
            lines = self.log.more.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// Where a server listens, once it does: `127.0.0.1:port`.
    pub(crate) fn address(&self) -> String {
        let line = self.line_with(&["serving address="]);
        let (_, rest) = line.split_once("address=").expect("it was waited for");
        rest.split(' ').next().unwrap_or_default().to_owned()
    }

    /// The lines so far that contain all of `parts`.
    pub(crate) fn lines_with(&self, parts: &[&str]) -> Vec<String> {
        let lines = self.log.lines.lock().unwrap();
        lines.iter().filter(|line| parts.iter().all(|part| line.contains(part))).cloned().collect()
    }

    /// How many there are.
    pub(crate) fn count_lines_with(&self, parts: &[&str]) -> usize {
        self.lines_with(parts).len()
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("the program runs");
    }

    /// SIGKILL, and waits for the end.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Waits for the program to end by itself.
    pub(crate) fn exit(&mut self) -> ExitStatus {
        wait_until("the program ends", || self.child.try_wait().expect("a child can be waited for"))
    }

    /// The process, for /proc.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Asks until there is an answer; fails the test if that takes too long.
pub(crate) fn wait_until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    wait_within(PATIENCE, what, ask)
}

/// The same with a patience of its own.
pub(crate) fn wait_within<T>(patience: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A port that nobody listens at, below 32768, where Linux takes no ports for outgoing connections.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let offset = std::process::id() * 7 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (offset % 12_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// `server --local` on a directory of its own.
pub(crate) struct LocalServer {
    pub program: Program,
    /// `http://127.0.0.1:port`.
    pub url: String,
    /// `127.0.0.1:port`.
    pub address: String,
    /// Where the images are. It goes with the last server on it.
    pub directory: Arc<tempdir::TempDir>,
}

impl LocalServer {
    /// Starts one on an empty directory with some settings.
    pub(crate) fn start_with(settings: &[(&str, &str)]) -> LocalServer {
        LocalServer::start_on(Arc::new(tempdir::TempDir::new()), settings)
    }

    /// Starts the program from a shell that first runs `prelude`, such as a `ulimit`.
    pub(crate) fn start_in_shell(prelude: &str) -> (Program, Arc<tempdir::TempDir>) {
        let directory = Arc::new(tempdir::TempDir::new());
        let mut shell = Command::new("sh");
        shell.args([
            "-c",
            &format!("{prelude} && exec \"$0\" \"$@\""),
            env!("CARGO_BIN_EXE_server"),
            "--local",
        ]);
        shell.arg(directory.path()).env_clear().env("LISTEN", "127.0.0.1:0").stdin(Stdio::null());
        (Program::spawn("server", shell), directory)
    }

    /// Starts one on a directory that has something in it.
    pub(crate) fn start_on(directory: Arc<tempdir::TempDir>, settings: &[(&str, &str)]) -> LocalServer {
        let mut environment = vec![("LISTEN".to_owned(), "127.0.0.1:0".to_owned())];
        environment.extend(settings.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        let path = directory.path().to_str().expect("a path in UTF-8");
        LocalServer::from(Program::start("server", &["--local", path], &environment), directory)
    }

    /// A program that was started by other means.
    pub(crate) fn from(program: Program, directory: Arc<tempdir::TempDir>) -> LocalServer {
        let address = program.address();
        LocalServer { program, url: format!("http://{address}"), address, directory }
    }

    /// Where the images are.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// A directory that goes with its test.
pub(crate) mod tempdir {
    use std::path::{Path, PathBuf};

    pub(crate) struct TempDir(PathBuf);

    impl TempDir {
        pub(crate) fn new() -> TempDir {
            let name = image_sharer::domain::image_id::ImageId::random().unwrap().to_string();
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
            std::fs::create_dir_all(&path).unwrap();
            TempDir(path)
        }

        pub(crate) fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for TempDir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
