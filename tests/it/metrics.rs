//! What Prometheus is shown, read by its own parser: the numbers are those of what was done.

use std::collections::BTreeMap;
use std::io::Cursor;

use image::{ImageFormat, Rgba, RgbaImage};

use crate::curl::{curl, upload, upload_accepting};
use crate::engine::{engine, python};
use crate::pictures;
use crate::program::{LocalServer, Program, run, wait_until};
use crate::raw::Client;
use crate::relay::{Fault, Relay, Times};
use crate::request::Operation;
use crate::stack::Stack;

fn address(program: &Program) -> String {
    let line = program.line_with(&["metrics address="]);
    line.rsplit_once("address=").expect("it was waited for").1.to_owned()
}

/// The samples but for the buckets, which are looked at on the way.
fn samples(program: &Program) -> BTreeMap<String, f64> {
    let reply = curl(&[&format!("http://{}/metrics", address(program))]);
    assert_eq!(reply.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = String::from_utf8(reply.body).unwrap();
    serde_json::from_str(&python(include_str!("exposition.py"), &text)).unwrap()
}

/// A single number without labels, for who asks often.
pub(crate) fn number(program: &Program, name: &str) -> u64 {
    let page = String::from_utf8(curl(&[&format!("http://{}/metrics", address(program))]).body).unwrap();
    let name = format!("{name} ");
    number_after(page.lines().find(|line| line.starts_with(&name)).expect("it is shown"), &name)
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
    let mut idle = Client::connect(&server.address);
    idle.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(idle.status(), 200);
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

fn number_after(line: &str, name: &str) -> u64 {
    let (_, rest) = line.split_once(name).unwrap_or_else(|| panic!("no {name} in {line}"));
    rest.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
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

/// What decoding takes is counted while it lasts, as what is let in at the same time depends on it.
#[test]
fn of_pictures_that_are_decoded() {
    let server = LocalServer::start_with(&[("METRICS_LISTEN", "127.0.0.1:0")]);
    // Small as a file, and a second's work or more.
    let large = RgbaImage::from_pixel(5000, 4000, Rgba([9, 99, 199, 99]));
    let mut png = Cursor::new(Vec::new());
    large.write_to(&mut png, ImageFormat::Png).unwrap();
    for _ in 0..4 {
        upload(&server.url, png.get_ref()).urls();
    }
    let memory = || number(&server.program, "image_sharer_decode_memory_bytes");
    wait_until("a picture is being decoded", || (memory() > 5000 * 4000).then_some(()));
    wait_until("all are done", || (server.program.count_lines_with(&["outcome=done"]) == 4).then_some(()));
    assert_eq!(memory(), 0);
}

#[test]
fn strangers_do_no_harm() {
    let server = LocalServer::start_with(&[("METRICS_LISTEN", "127.0.0.1:0")]);
    let address = address(&server.program);
    for number in 0..100 {
        let mut client = Client::connect(&address);
        match number % 4 {
            0 => client.send("\u{16}\u{3}\u{1}\r\n\r\n"),
            1 => client.send("GET /metrics"),
            2 => drop(client.send_endlessly(&[b'a'; 4096], 100_000)),
            _ => {}
        }
        if number % 4 == 1 {
            client.finish();
        }
    }
    // These two say nothing, and the scrape waits for their deadlines.
    let idle: Vec<Client> = (0..2).map(|_| Client::connect(&address)).collect();
    for (path, status) in [("/metrics", 200), ("/", 404), ("/metrics/", 404)] {
        assert_eq!(curl(&[&format!("http://{address}{path}")]).status, status, "{path}");
    }
    drop(idle);
    let posted = curl(&["-X", "POST", &format!("http://{address}/metrics")]);
    assert_eq!((posted.status, posted.header("Allow")), (405, Some("GET")));
    assert_eq!(curl(&[&format!("{}/metrics", server.url)]).status, 404, "not where uploads go");
}

#[test]
fn an_address_that_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let listener = std::net::TcpListener::bind(&taken).unwrap();
    let directory = crate::program::tempdir::TempDir::new();
    let settings = [("LISTEN".into(), "127.0.0.1:0".into()), ("METRICS_LISTEN".into(), taken.clone())];
    let output = run("server", &["--local", directory.path().to_str().unwrap()], &settings);
    drop(listener);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains(&format!("METRICS_LISTEN is {taken}: ")), "{error}");
}
