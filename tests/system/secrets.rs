//! No line that a program writes has a secret in it, at any level, whatever goes wrong: no key, session token or signature, and
//! no header with one. A key's id is no secret, and is not there either.

use std::fs;
use std::process::Output;
use std::time::Duration;

use aws_client::credentials::Credentials;

use crate::audit::Audit;
use crate::engine::engine;
use crate::faults::{OTHERS, SOME};
use crate::imds::Imds;
use crate::pictures;
use crate::program::tempdir::TempDir;
use crate::program::{Program, run};
use crate::relay::{Fault, Relay, Times};
use crate::request::Operation;
use crate::stack::Stack;

/// The secrets, and all lines that must not have them.
#[derive(Default)]
struct Search {
    secrets: Vec<String>,
    text: String,
}

impl Search {
    fn credentials(&mut self, credentials: &Credentials) {
        let Credentials { access_key_id, secret_access_key, session_token, .. } = credentials.clone();
        self.secrets.extend([access_key_id, secret_access_key]);
        self.secrets.extend(session_token);
    }

    /// What the programs have signed, as it came by.
    fn signatures(&mut self, relay: &Relay) {
        for head in relay.heard_all() {
            let authorization = crate::request::header(&head, "authorization").unwrap_or_default();
            self.secrets
                .extend(authorization.rsplit_once("Signature=").map(|(_, signature)| signature.to_owned()));
        }
    }

    fn program(&mut self, program: &Program) {
        self.text.push_str(&program.lines_with(&[]).join("\n"));
    }

    fn output(&mut self, output: &Output) {
        self.text.push_str(&String::from_utf8_lossy(&output.stdout));
        self.text.push_str(&String::from_utf8_lossy(&output.stderr));
    }

    /// Fails if a line has a secret. The expected parts must be there: they show that the right text was searched.
    fn finds_only(&self, expected: &[&str]) {
        for part in expected {
            assert!(self.text.contains(part), "{part} did not happen");
        }
        let of_a_header =
            ["AWS4-HMAC-SHA256", "aws4_request", "Signature=", "x-amz-security-token", "authorization:"];
        let secrets = self.secrets.iter().map(String::as_str).chain(of_a_header);
        let lines = self.text.lines().map(|line| (line, line.to_lowercase()));
        for (line, lower) in lines {
            let found = secrets.clone().find(|secret| lower.contains(&secret.to_lowercase()));
            assert_eq!(found, None, "in {line}");
        }
    }
}

#[test]
fn no_fault_brings_a_secret_into_a_log() {
    let mut search = Search::default();
    let credentials = engine().role_credentials(3600);
    let imds = Imds::start(&credentials);
    search.credentials(&credentials);
    search.credentials(engine().user());
    search.secrets.push(format!("token-of-{}", imds.port));
    let (relay, metadata) = (Relay::to(&engine().endpoint), Relay::to(&imds.url()));
    let stack = Stack::through(&relay.url);
    let mut environment = stack.on_ec2(&metadata.url);
    environment.push(("LOG".to_owned(), "debug".to_owned()));
    let server = Program::start("server", &[], &environment);
    let url = format!("http://{}", server.address());
    let audit = Audit::default();
    let upload = || audit.upload(&url, &pictures::jpeg(80, 60).into()).status;

    assert_eq!(upload(), 202);
    relay.fault_at_any(Times::Always, Fault::QuoteSignature);
    let worker = Program::start("worker", &[], &environment);
    assert_eq!(upload(), 503);
    server.line_with(&["unavailable", "SignatureDoesNotMatch"]);
    worker.line_with(&["receive_failed", "IncompleteSignature"]);
    search.output(&run("server", &["--check"], &environment));
    relay.clear();
    worker.line_with(&["info job "]);

    let too_late = |fault: &Fault| matches!(fault, Fault::Delay(delay) if *delay > Duration::from_secs(1));
    let clock = |fault: &Fault| matches!(fault, Fault::ClockAhead(_)); // it wants the key of the user
    for fault in SOME.into_iter().chain(OTHERS).filter(|fault| !too_late(fault) && !clock(fault)) {
        relay.fault_at_any(Times::First(3), fault);
        upload();
        relay.clear();
    }

    for fault in [Fault::Reset, Fault::ShortBody, Fault::WebPage, Fault::Refuse(500, "", "")] {
        metadata.fault(Operation::Credentials, Times::Every(2), fault);
        search.output(&run("worker", &["--check"], &environment));
        metadata.clear();
    }
    imds.set(
        "meta-data/iam/security-credentials/a-role",
        &format!("{{\"SecretAccessKey\":{:?}}}", credentials.secret_access_key),
    );
    search.output(&run("worker", &["--check"], &environment));

    search.signatures(&relay);
    [&server, &worker, &stack.server].into_iter().for_each(|program| search.program(program));
    search.finds_only(&[
        "aws_retry",
        "info upload",
        "info job",
        "ExpiredToken",
        "decision=CorrectClock",
        "FAILED",
    ]);
}

/// Settings that an operator may get wrong, and what the programs say about them.
#[test]
fn no_wrong_setting_brings_a_secret_into_an_error() {
    let stack = Stack::start();
    let directory = TempDir::new();
    let [credentials, config] = ["credentials", "config"].map(|name| directory.path().join(name));
    let file = credentials.to_str().unwrap();
    let odd = "[odd]\naws_access_key_id = AKIDOFTEST\naws_secret_access_key = hush\naws_session_token = hush\u{7}hush\n";
    fs::write(&credentials, format!("[half]\naws_secret_access_key = hush\n{odd}")).unwrap();
    fs::write(&config, "hush\n[profile other]\ncredential_process = /bin/echo hush\n").unwrap();
    let mut environment = stack.environment.clone();
    let of_key = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    environment.retain(|(name, _)| !of_key.contains(&name.as_str()));
    let key = [("AWS_ACCESS_KEY_ID", "AKIDOFTEST"), ("AWS_SECRET_ACCESS_KEY", "hush")];
    let files = [("AWS_SHARED_CREDENTIALS_FILE", file), ("AWS_CONFIG_FILE", config.to_str().unwrap())];
    let container = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/");
    let cases: [&[(&str, &str)]; 14] = [
        &key[..1],
        &key[1..],
        &[key[0], key[1]],
        &[key[0], key[1], ("AWS_SESSION_TOKEN", "hush")],
        &[key[0], key[1], ("AWS_SESSION_TOKEN", "hush\nhush")],
        &[key[0], ("AWS_SECRET_ACCESS_KEY", "hush\u{7}hush")],
        &[files[0], files[1], ("AWS_PROFILE", "half")],
        &[files[0], files[1], ("AWS_PROFILE", "odd")],
        &[files[0], files[1], ("AWS_PROFILE", "other")],
        &[container, ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hush")],
        &[container, ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hush\nhush")],
        &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://user:hush@127.0.0.1:9/")],
        &[key[0], key[1], ("AWS_ENDPOINT_URL", "http://user:hush@127.0.0.1:9")],
        &[key[0], key[1], ("JOBS_QUEUE_URL", "https://user:hush@sqs.example.com/1/jobs")],
    ];
    let mut search = Search::default();
    search.secrets.extend(["hush", "AKIDOFTEST"].map(str::to_owned));
    for program in ["server", "worker"] {
        for case in cases {
            let changes = case.iter().map(|(name, value)| (name.to_string(), value.to_string()));
            let mut environment = environment.clone();
            environment.push(("LOG".to_owned(), "debug".to_owned()));
            environment.extend(changes);
            let output = run(program, &["--check"], &environment);
            assert!(!output.status.success(), "{case:?}");
            search.output(&output);
        }
    }
    search.finds_only(&[
        "FAILED",
        "AWS_SECRET_ACCESS_KEY is not",
        "profile half has no",
        "no header can carry",
        "@sqs.example.com",
    ]);
}
