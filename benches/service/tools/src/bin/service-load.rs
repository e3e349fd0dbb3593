//! The client of the benchmark: the same request again and again on kept-alive connections, a thread each.
//!
//! `service-load ADDRESS METHOD PATH STATUS FILE CONNECTIONS SECONDS [HEADER...]` sends FILE, expects STATUS, and prints one JSON
//! object: how many were answered so, how fast, the latencies, and the CPU time that it took itself. An answer with
//! another status ends it with an error. A connection that the server closed is opened again, and counted.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, BufReader, Write};
use std::net::TcpStream;
use std::process::exit;
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use service_tools::read;

/// A server that is silent for so long has failed.
const TIMEOUT: Duration = Duration::from_secs(30);

struct Task {
    address: String,
    request: Vec<u8>,
    status: String,
    deadline: Instant,
}

#[derive(Default)]
struct Tally {
    microseconds: Vec<u128>,
    reconnects: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, method, path, status, file, connections, seconds, headers @ ..] = &arguments[..] else {
        return Err(
            "usage: service-load ADDRESS METHOD PATH STATUS FILE CONNECTIONS SECONDS [HEADER...]".into()
        );
    };
    let body = fs::read(file)?;
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    )
    .into_bytes();
    request.extend(body);
    let began = Instant::now();
    let deadline = began + Duration::from_secs_f64(seconds.parse()?);
    let task = Task { address: address.clone(), request, status: status.clone(), deadline };
    let tallies: Vec<io::Result<Tally>> = thread::scope(|scope| {
        let client = || thread::Builder::new().stack_size(256 * 1024).spawn_scoped(scope, || run(&task));
        let threads: Vec<_> = (0..connections.parse().unwrap_or(1)).map(|_| client()).collect();
        threads.into_iter().map(|thread| thread?.join().expect("clients do not panic")).collect()
    });
    let elapsed = began.elapsed();
    let tallies = tallies.into_iter().collect::<io::Result<Vec<_>>>()?;
    let reconnects: u32 = tallies.iter().map(|tally| tally.reconnects).sum();
    let mut latencies: Vec<u128> = tallies.into_iter().flat_map(|tally| tally.microseconds).collect();
    latencies.sort_unstable();
    let quantile = |share: f64| latencies.get((latencies.len() as f64 * share) as usize).unwrap_or(&0) / 10;
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let result = json!({
        "requests": latencies.len(),
        "seconds": elapsed.as_secs_f64(),
        "p50_ms": quantile(0.50) as f64 / 100.0,
        "p99_ms": quantile(0.99) as f64 / 100.0,
        "cpu_seconds": cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
        "reconnects": reconnects,
    });
    println!("{result}");
    Ok(())
}

/// One connection's requests, until the time is over.
fn run(task: &Task) -> io::Result<Tally> {
    let mut tally = Tally::default();
    let mut connection = connect(task)?;
    let mut fresh = true;
    while Instant::now() < task.deadline {
        let began = Instant::now();
        let sent = connection.get_mut().write_all(&task.request);
        match sent.and_then(|()| read(&mut connection, io::sink())) {
            Ok(Some(answer)) if answer.start.split(' ').nth(1) == Some(&task.status) => {
                tally.microseconds.push(began.elapsed().as_micros());
                fresh = false;
            }
            Ok(Some(answer)) => {
                eprintln!("{}: {}", answer.start, String::from_utf8_lossy(&answer.body));
                exit(1);
            }
            // A server may close an idle connection, but not one that has just been opened.
            Ok(None) | Err(_) if !fresh => {
                connection = connect(task)?;
                (fresh, tally.reconnects) = (true, tally.reconnects + 1);
            }
            Ok(None) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) => return Err(error),
        }
    }
    Ok(tally)
}

fn connect(task: &Task) -> io::Result<BufReader<TcpStream>> {
    let connection = TcpStream::connect(&task.address)?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    Ok(BufReader::new(connection))
}
