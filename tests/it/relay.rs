//! A way to the engine that leads through the test, which can close it, or lay it to where the engine cannot be seen from.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread;

use crate::program::wait_until;

/// A relay, closed at first. It goes on until the test process ends.
pub struct Relay {
    /// What to use in place of the engine's endpoint.
    pub url: String,
    state: Arc<RelayState>,
}

#[derive(Default)]
struct RelayState {
    mode: Mutex<Mode>,
    changed: Condvar,
    connections: AtomicUsize,
    /// Both ends of those that were let through, as long as there are any.
    through: Mutex<Vec<Weak<TcpStream>>>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Mode {
    /// Takes connections and lets nothing through.
    #[default]
    Closed,
    /// Closes connections at once.
    Refusing,
    Open,
}

impl Relay {
    /// To the engine.
    pub fn to(endpoint: &str) -> Relay {
        Relay::from(TcpListener::bind("127.0.0.1:0").unwrap(), endpoint)
    }

    /// To the engine, from a listener that may be in another network.
    pub fn from(listener: TcpListener, endpoint: &str) -> Relay {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let target = endpoint.trim_start_matches("http://").to_owned();
        let state = Arc::new(RelayState::default());
        let relaying = state.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (state, target) = (relaying.clone(), target.clone());
                thread::spawn(move || relay(client, &target, &state));
            }
        });
        Relay { url, state }
    }

    fn set(&self, mode: Mode) {
        *self.state.mode.lock().unwrap() = mode;
        self.state.changed.notify_all();
    }

    /// Lets through what came and what comes.
    pub fn open(&self) {
        self.set(Mode::Open);
    }

    /// Closes connections at once.
    pub fn refuse(&self) {
        self.set(Mode::Refusing);
    }

    /// Cuts the connections that there are; others may be made.
    pub fn cut(&self) {
        for stream in self.state.through.lock().unwrap().drain(..).filter_map(|stream| stream.upgrade()) {
            let _ = stream.shutdown(Shutdown::Both); // unless it was closed already
        }
    }

    /// Waits until so many have come.
    pub fn wait_for_connections(&self, count: usize) {
        wait_until("a connection", || (self.state.connections.load(Ordering::SeqCst) >= count).then_some(()));
    }
}

fn relay(client: TcpStream, target: &str, state: &RelayState) {
    state.connections.fetch_add(1, Ordering::SeqCst);
    let mode = {
        let mode = state.mode.lock().unwrap();
        *state.changed.wait_while(mode, |mode| *mode == Mode::Closed).unwrap()
    };
    if mode == Mode::Refusing {
        return;
    }
    let Ok(server) = TcpStream::connect(target) else { return };
    let (client, server) = (Arc::new(client), Arc::new(server));
    state.through.lock().unwrap().extend([Arc::downgrade(&client), Arc::downgrade(&server)]);
    let (from_client, to_server) = (client.clone(), server.clone());
    thread::spawn(move || copy(&from_client, &to_server));
    copy(&server, &client);
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    let mut buffer = [0; 65_536];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
