//! Another engine, roto-aws, which keeps what it was told when it is killed. It checks no signatures, so it is for this alone:
//! ministack, which does, keeps objects and forgets its queues.

use std::fs;
use std::process::Command;

use crate::engine::{Engine, free_port, installed};
use crate::kept::Kept;
use crate::program::tempdir::TempDir;
use crate::program::wait_until;

/// The engine.
pub struct Durable {
    /// For requests to it.
    pub engine: &'static Engine,
    kept: Option<Kept>,
    directory: TempDir,
    port: u16,
}

impl Durable {
    pub fn start() -> Durable {
        let port = free_port();
        let engine = Box::leak(Box::new(Engine::at(format!("http://127.0.0.1:{port}"))));
        let mut durable = Durable { engine, kept: None, directory: TempDir::new(), port };
        durable.start_again();
        durable
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        drop(self.kept.take());
    }

    /// On what was there when it was killed.
    pub fn start_again(&mut self) {
        let mut program = Command::new(installed("roto-aws").join("roto-server"));
        program
            .args(["--durable", "--port", &self.port.to_string(), "--data-dir"])
            .arg(self.directory.path().join("data"));
        let of_the_process = self.directory.path().join("process");
        fs::create_dir_all(&of_the_process).unwrap();
        self.kept = Some(Kept::start(&program, &of_the_process));
        wait_until("it listens", || std::net::TcpStream::connect(("127.0.0.1", self.port)).ok());
    }
}
