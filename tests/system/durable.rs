//! Engines that keep their state when they are killed, and can be started again on it. One is roto-aws, which checks no
//! signatures. ministack checks them, but it keeps objects only and forgets its queues.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use aws_client::credentials::Credentials;

use crate::engine::{Engine, installed};
use crate::kept::Kept;
use crate::program::tempdir::TempDir;
use crate::program::{free_port, wait_until};

/// A server and its directory.
pub(crate) struct Durable {
    /// For requests to it.
    pub engine: &'static Engine,
    kept: Option<Kept>,
    directory: TempDir,
    command: Box<dyn Fn(&Path) -> Command + Send + Sync>,
    port: u16,
}

impl Durable {
    /// roto-aws.
    pub(crate) fn roto() -> Durable {
        let (port, program) = (free_port(), installed("roto-aws").join("roto-server"));
        let key = Credentials::of_key("AKIAROOT", "root-secret");
        Durable::start(port, key, move |directory| {
            let mut roto = Command::new(&program);
            roto.args(["--durable", "--port", &port.to_string(), "--data-dir"]).arg(directory);
            roto
        })
    }

    /// A server on this port that takes this key. The command is for a directory that is there.
    pub(crate) fn start(
        port: u16,
        key: Credentials,
        command: impl Fn(&Path) -> Command + Send + Sync + 'static,
    ) -> Durable {
        let engine = Box::leak(Box::new(Engine::at(format!("http://127.0.0.1:{port}"), key)));
        let (directory, command) = (TempDir::new(), Box::new(command));
        let mut durable = Durable { engine, kept: None, directory, command, port };
        durable.start_again();
        durable
    }

    /// Where it keeps things.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        drop(self.kept.take());
    }

    /// On what was there when it was killed.
    pub(crate) fn start_again(&mut self) {
        let of_the_process = self.directory.path().join("process");
        for directory in [&self.path(), &of_the_process] {
            fs::create_dir_all(directory).unwrap();
        }
        let mut kept = Kept::start(&(self.command)(&self.path()), &of_the_process);
        wait_until("it listens", || {
            assert!(!kept.has_ended(), "it has ended: {}", kept.log());
            std::net::TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
        self.kept = Some(kept);
    }
}
