//! Credentials that end while they are in use. Those of a role end after hours, here after seconds; then the engine refuses them.

use std::thread;
use std::time::{Duration, SystemTime};

use aws_client::credentials::Credentials;

use crate::audit::Audit;
use crate::engine::engine;
use crate::imds::Imds;
use crate::pictures;
use crate::program::Program;
use crate::stack::Stack;

struct OnEc2 {
    stack: Stack,
    server: Program,
    worker: Program,
    audit: Audit,
}

impl OnEc2 {
    fn start(imds: &Imds) -> OnEc2 {
        let stack = Stack::start();
        let mut environment = stack.on_ec2(&imds.url());
        environment.push(("LOG".to_owned(), "debug".to_owned()));
        let [server, worker] = ["server", "worker"].map(|name| Program::start(name, &[], &environment));
        OnEc2 { stack, server, worker, audit: Audit::default() }
    }

    /// An upload that must be accepted and done.
    fn upload(&self) {
        let url = format!("http://{}", self.server.address());
        let urls = self.audit.upload(&url, &pictures::jpeg(80, 60).into()).urls();
        let id = urls.small.rsplit('/').nth(1).expect("an id").to_owned();
        self.worker.line_with(&["info job ", &id, "outcome=done", "receives=1"]);
    }

    fn end(&self) {
        self.audit.nothing_is_lost();
        assert!(self.stack.nothing_was_given_up());
    }
}

fn until(time: SystemTime) {
    thread::sleep(time.duration_since(SystemTime::now()).unwrap_or_default());
}

/// Credentials are good for 40 s, and the metadata service has new ones after 15. The test goes on until some have ended.
#[test]
fn credentials_are_replaced_before_they_end() {
    let imds = Imds::start(&engine().role_credentials(40));
    let machine = OnEc2::start(&imds);
    for _ in 0..4 {
        let next = SystemTime::now() + Duration::from_secs(15);
        while SystemTime::now() < next {
            machine.upload();
        }
        imds.give(&engine().role_credentials(40));
    }
    for program in [&machine.server, &machine.worker] {
        assert_eq!(program.count_lines_with(&["Expired"]), 0, "none was used that had ended");
    }
    machine.end();
}

/// The metadata service says that they last, and they do not, as when a role's sessions are revoked.
#[test]
fn credentials_that_end_before_their_time_are_replaced() {
    let lasting = |seconds| {
        let credentials = engine().role_credentials(seconds);
        (credentials.expires.expect("they end"), Credentials { expires: None, ..credentials })
    };
    let (end, credentials) = lasting(15);
    let imds = Imds::start(&credentials);
    let machine = OnEc2::start(&imds);
    machine.upload();
    imds.give(&lasting(3600).1);
    let unchanged = engine().nobody_is_given_credentials();
    until(end + Duration::from_secs(1));
    machine.upload();
    for program in [&machine.server, &machine.worker] {
        program.line_with(&["aws_retry", "ExpiredToken", "decision=RefreshCredentials"]);
    }
    drop(unchanged);
    machine.end();
}
