//! The metrics page, read by Prometheus' own parser: the numbers are those of what was done.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::curl::{curl, upload, upload_accepting};
use crate::engine::{engine, python};
use crate::pictures;
use crate::program::{LocalServer, Program, wait_until};
use crate::relay::{Fault, Relay, Times};
use crate::request::Operation;
use crate::scrape::{address, number_after};
use crate::stack::Stack;

/// The samples. The parser's script checks the buckets of histograms and leaves them out.
fn samples(program: &Program) -> BTreeMap<String, f64> {
    let reply = curl(&[&format!("http://{}/metrics", address(program))]);
    assert_eq!(reply.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = String::from_utf8(reply.body).unwrap();
    serde_json::from_str(&python(include_str!("exposition.py"), &text)).unwrap()
}

fn have(samples: &BTreeMap<String, f64>, expected: &[(&str, f64)]) {
    for (name, value) in expected {
        let name = format!("image_sharer_{name}");
        assert_eq!(samples.get(&name), Some(value), "{name} in {samples:#?}");
    }
}

#[test]
fn of_one_machine() {
    let server = LocalServer::start_with(&[("METRICS_LISTEN", "127.0.0.1:0")]);
    let jpeg = pictures::jpeg(640, 480);
    let png = pictures::undecodable_png();
    for picture in [&jpeg, &jpeg, &jpeg, &png] {
        upload(&server.url, picture).urls();
    }
    assert_eq!(upload(&server.url, b"no picture").status, 400);
    assert_eq!(upload(&server.url, &vec![0; 2_000_000]).status, 413);
    assert_eq!(upload_accepting(&server.url, &jpeg, "Accept: text/html", &[]).status, 406);
    assert_eq!(curl(&[&format!("{}/nothing", server.url)]).status, 404);
    let mut idle = TcpStream::connect(&server.address).unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut beginning = [0; 12];
    idle.read_exact(&mut beginning).unwrap();
    assert_eq!(&beginning, b"HTTP/1.1 200");
    wait_until("all jobs are done", || (server.program.count_lines_with(&[" job id="]) == 4).then_some(()));
    let found = wait_until("only one connection is left", || {
        let found = samples(&server.program);
        (found["image_sharer_connections"] == 1.0 && found["image_sharer_jobs_in_hand"] == 0.0)
            .then_some(found)
    });
    drop(idle);
    have(
        &found,
        &[
            ("requests_total{kind=upload,status=202}", 4.0),
            ("requests_total{kind=upload,status=400}", 1.0),
            ("requests_total{kind=upload,status=413}", 1.0),
            ("requests_total{kind=upload,status=406}", 1.0),
            ("requests_total{kind=upload,status=503}", 0.0),
            ("requests_total{kind=other,status=200}", 1.0),
            ("requests_total{kind=other,status=404}", 1.0),
            ("upload_bytes_total", (3 * jpeg.len() + png.len()) as f64),
            ("upload_step_seconds_count{step=body}", 4.0),
            ("upload_step_seconds_count{step=store}", 4.0),
            ("upload_step_seconds_count{step=queue}", 4.0),
            ("evicted_connections_total", 0.0),
            ("jobs_total{outcome=done}", 3.0),
            ("jobs_total{outcome=broken}", 1.0),
            ("jobs_total{outcome=failed}", 0.0),
            ("job_step_seconds_count{step=decode}", 3.0),
            ("job_wait_seconds_count", 4.0),
            ("thumbnail_age_seconds_count", 4.0),
            ("repeated_receives_total", 0.0),
            ("decode_memory_bytes", 0.0),
        ],
    );
    assert!(found["image_sharer_job_step_seconds_sum{step=decode}"] > 0.0);
    assert!(found["image_sharer_decode_memory_limit_bytes"] > 1e8);
    assert!(found["process_start_time_seconds"] > 1.7e9);
}

/// A server and a worker each show their own half, and a job that fails is counted at each of its ends.
#[test]
fn of_two_programs() {
    let stack = Stack::start();
    let urls: Vec<_> = (0..3).map(|_| upload(&stack.url, &pictures::jpeg(640, 480)).urls()).collect();
    let path = urls[0].original.strip_prefix(&engine().endpoint).expect("the engine shows the images");
    engine().remove(path);
    let worker = stack.worker();
    worker.line_with(&["job", "outcome=gone", "receives=2"]);
    let done = wait_until("the others are done", || {
        Some(worker.lines_with(&["outcome=done"])).filter(|done| done.len() == 2)
    });
    let waited_ms: u64 = done.iter().map(|line| number_after(line, "wait_ms=")).sum();
    engine().send_message(&stack.queues.jobs, "no job"); // it comes back after half a minute
    let unreadable = "image_sharer_jobs_total{outcome=unreadable}";
    let worker = wait_until("it is counted", || {
        Some(samples(&worker)).filter(|samples| samples.get(unreadable) == Some(&1.0))
    });

    let server = samples(&stack.server);
    have(
        &server,
        &[("requests_total{kind=upload,status=202}", 3.0), ("upload_step_seconds_count{step=queue}", 3.0)],
    );
    assert!(!server.contains_key("image_sharer_jobs_in_hand"), "{server:#?}");
    assert!(!worker.contains_key("image_sharer_connections"), "{worker:#?}");
    have(
        &worker,
        &[
            ("jobs_total{outcome=done}", 2.0),
            ("jobs_total{outcome=failed}", 1.0),
            ("jobs_total{outcome=gone}", 1.0),
            ("jobs_total{outcome=unreadable}", 1.0),
            ("job_wait_seconds_count", 3.0),
            ("thumbnail_age_seconds_count", 2.0),
            ("repeated_receives_total", 1.0),
        ],
    );
    // Both began with the upload, and thumbnails are there after the wait of their job.
    let waited = waited_ms as f64 / 1000.0;
    assert!(worker["image_sharer_job_wait_seconds_sum"] >= waited, "{waited} s: {worker:#?}");
    assert!(worker["image_sharer_thumbnail_age_seconds_sum"] >= waited, "{waited} s: {worker:#?}");
}

/// A job that waits for the store is in hand, and its pictures take no memory yet.
#[test]
fn of_a_job_in_hand() {
    let stack = Stack::start();
    let relay = Relay::to(&engine().endpoint);
    relay.fault(Operation::Get, Times::Always, Fault::Silence);
    let worker = Program::start("worker", &[], &stack.with("AWS_ENDPOINT_URL_S3", &relay.url));
    let in_hand = |count: f64| {
        wait_until("it is in hand, or no longer", || {
            Some(samples(&worker)).filter(|samples| samples["image_sharer_jobs_in_hand"] == count)
        })
    };
    in_hand(0.0);
    upload(&stack.url, &pictures::jpeg(80, 60)).urls();
    have(&in_hand(1.0), &[("decode_memory_bytes", 0.0)]);
    relay.clear();
    worker.line_with(&["outcome=done"]);
    in_hand(0.0);
}
