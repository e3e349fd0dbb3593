//! Machines of a test's own, made of what Linux offers: a network namespace with nobody else in it, and one core.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::thread;

use rustix::fd::AsFd;
use rustix::thread::{
    CpuSet, LinkNameSpaceType, move_into_link_name_space, sched_getaffinity, sched_setaffinity,
};

use crate::program::Program;
use crate::relay::Relay;

/// Brings up the loopback device of a new network, says so, and keeps the network until the test has opened it.
const NEW_NETWORK: &str = "ip link set lo up && echo up && exec cat";

/// A machine: what runs on it shares no network with anything else. It goes when nothing of it is left.
pub(crate) struct Machine {
    network: File,
    core: usize,
}

impl Machine {
    /// A machine with this core of ours, counted from 0; past the last the count begins again.
    pub(crate) fn new(core: usize) -> Machine {
        let root = rustix::process::geteuid().is_root();
        assert!(root, "two machines are made of network namespaces, which takes root: run the tests as root");
        let mut shell = Command::new("unshare");
        shell.args(["--net", "sh", "-c", NEW_NETWORK]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().expect("unshare is installed: it comes with util-linux");
        let mut said = String::new();
        BufReader::new(shell.stdout.take().expect("it is piped")).read_line(&mut said).unwrap();
        assert_eq!(
            said, "up\n",
            "a network namespace takes the right to make one, and ip: apt-get install iproute2"
        );
        let network = File::open(format!("/proc/{}/ns/net", shell.id())).unwrap();
        drop(shell.stdin.take());
        shell.wait().unwrap();
        Machine { network, core }
    }

    /// Does something on the machine. Threads, processes and sockets that it makes stay there.
    fn on<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let there = || {
            move_into_link_name_space(self.network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let ours = sched_getaffinity(None).unwrap();
            let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| ours.is_set(*core)).collect();
            let mut one = CpuSet::new();
            one.set(cores[self.core % cores.len()]);
            sched_setaffinity(None, &one).unwrap();
            work()
        };
        thread::scope(|scope| scope.spawn(there).join().expect("no panic on the machine"))
    }

    /// Starts a program there.
    pub(crate) fn start(&self, name: &str, environment: &[(String, String)]) -> Program {
        self.on(|| Program::start(name, &[], environment))
    }

    /// From now on the endpoint answers on the machine too, at the same address.
    pub(crate) fn connect(&self, endpoint: &str) {
        let address: SocketAddr =
            endpoint.trim_start_matches("http://").parse().expect("an address and port");
        let listener = self.on(|| TcpListener::bind(address)).expect("all ports are free there");
        Relay::from(listener, endpoint);
    }
}
