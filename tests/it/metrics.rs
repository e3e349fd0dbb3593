//! The metrics page of a program on one machine. tests/system reads it with Prometheus' own parser.

use std::io::Cursor;

use image::{ImageFormat, Rgba, RgbaImage};

use crate::curl::{curl, upload};
use crate::program::{LocalServer, Program, run, wait_until};
use crate::raw::Client;
use crate::scrape::{address, number_after};

/// A single number without labels. It takes less time than reading all samples.
pub(crate) fn number(program: &Program, name: &str) -> u64 {
    let page = String::from_utf8(curl(&[&format!("http://{}/metrics", address(program))]).body).unwrap();
    let name = format!("{name} ");
    number_after(page.lines().find(|line| line.starts_with(&name)).expect("it is shown"), &name)
}

/// The memory of a decode is counted while it lasts: how many others may begin depends on it.
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
