//! A real S3, SQS and IAM on this machine: ministack, started by the first test that needs it and shared by the others.
//!
//! It needs Python and, for the first run, the network: that run makes a virtual environment under `target/tmp`. The engine
//! checks signatures and policies of every key but the root's, so tests use the key of a user made for them. Its state is in a
//! temporary directory, and it ends with the test process, however that ends.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use aws_client::credentials::Credentials;
use aws_client::sign::{self, Signable};
use aws_client::xml_element;
use image_sharer::domain::queue::MAX_RECEIVES;
use image_sharer::support::dates;
use image_sharer::support::env::Env;
use serde_json::{Value, json};

use crate::kept::Kept;
use crate::program::free_port;

/// The only one there is.
pub(crate) const REGION: &str = "us-east-1";
const USER: &str = "image-sharer";

/// Starting takes about two seconds; more on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(60);

pub(crate) struct Engine {
    /// `http://127.0.0.1:port`, for S3 and SQS alike.
    pub endpoint: String,
    root: Credentials,
    user: Credentials,
    /// Held by a test while it gets credentials of a role.
    giving: Mutex<()>,
    /// None if the caller keeps its process.
    kept: Option<Kept>,
}

/// A queue of a test and where its redrive leads.
pub(crate) struct QueueUrls {
    /// For `JOBS_QUEUE_URL`.
    pub jobs: String,
    /// The dead-letter queue.
    pub dead: String,
}

/// The user of each engine, by the access key.
static USERS: Mutex<BTreeMap<String, Credentials>> = Mutex::new(BTreeMap::new());

/// The user that a key belongs to, for the checks of signatures in an engine's place.
pub(crate) fn user_with(access_key_id: &str) -> Option<Credentials> {
    USERS.lock().unwrap().get(access_key_id).cloned()
}

/// The engine, started if it is not running yet.
pub(crate) fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(Engine::start)
}

impl Engine {
    /// One that another started, and that knows no users.
    pub(crate) fn at(endpoint: String, key: Credentials) -> Engine {
        Engine { endpoint, user: key.clone(), root: key, giving: Mutex::default(), kept: None }
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.kept.as_ref().expect("it is ours").id()
    }

    /// The environment variables of a program on this engine, with the key of a user who may use S3 and SQS.
    pub(crate) fn user_env(&self) -> Vec<(String, String)> {
        let variables = [
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", &self.user.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", &self.user.secret_access_key),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        variables.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    /// Credentials of a role that may use S3 and SQS, as an instance is given them: with a session token, for some seconds.
    pub(crate) fn role_credentials(&self, seconds: u64) -> Credentials {
        let _giving = self.nobody_is_given_credentials();
        let role = unique("role");
        let anyone = json!({ "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": "sts:AssumeRole" });
        let trust = json!({ "Version": "2012-10-17", "Statement": [anyone] }).to_string();
        let created = self.iam("CreateRole", &[("RoleName", &role), ("AssumeRolePolicyDocument", &trust)]);
        let policy = allow_images();
        self.iam(
            "PutRolePolicy",
            &[("RoleName", &role), ("PolicyName", "images"), ("PolicyDocument", &policy)],
        );
        let arn = xml_element(&created, "Arn").expect("a role's ARN");
        let (arn, lasting) = (("RoleArn", arn.as_str()), ("DurationSeconds", &*seconds.to_string()));
        let assume = form("AssumeRole", "2011-06-15", &[arn, lasting, ("RoleSessionName", "instance")]);
        let assumed = self.as_root("sts", "POST", "/", &form_type(), &assume);
        let field = |name| xml_element(&assumed, name).expect("credentials");
        let key = Credentials::of_key(&field("AccessKeyId"), &field("SecretAccessKey"));
        let expires = Some(dates::from_rfc3339(&field("Expiration")).expect("a time"));
        Credentials { session_token: Some(field("SessionToken")), expires, ..key }
    }

    /// No test gets credentials as long as this is held. The engine calls credentials ended, as AWS does, only until it gives out
    /// others: from then on it does not know them.
    pub(crate) fn nobody_is_given_credentials(&self) -> MutexGuard<'_, ()> {
        self.giving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of that user.
    pub(crate) fn user(&self) -> &Credentials {
        &self.user
    }

    /// The variables as a value, with some changed.
    pub(crate) fn env_with(&self, changes: &[(&str, &str)]) -> Env {
        let changes = changes.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        self.user_env().into_iter().chain(changes).collect()
    }

    /// A fresh bucket.
    pub(crate) fn new_bucket(&self) -> String {
        let bucket = unique("images");
        self.as_root(sign::S3, "PUT", &format!("/{bucket}"), &[], "");
        bucket
    }

    /// Lets viewers without a key read the bucket's objects, as CloudFront does.
    pub(crate) fn let_everyone_read(&self, bucket: &str) {
        self.as_root(sign::S3, "DELETE", &format!("/{bucket}?publicAccessBlock="), &[], "");
        let resource = format!("arn:aws:s3:::{bucket}/*");
        let allow =
            json!({ "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": resource });
        let policy = json!({ "Version": "2012-10-17", "Statement": [allow] }).to_string();
        self.as_root(sign::S3, "PUT", &format!("/{bucket}?policy="), &[], &policy);
    }

    /// Takes an object away, by its path: bucket and key.
    pub(crate) fn remove(&self, path: &str) {
        self.as_root(sign::S3, "DELETE", path, &[], "");
    }

    /// Stores an object of any key, percent-encoded.
    pub(crate) fn put_object(&self, bucket: &str, key: &str) {
        self.as_root(sign::S3, "PUT", &format!("/{bucket}/{key}"), &[], "x");
    }

    /// How many objects are in the bucket.
    pub(crate) fn objects_in(&self, bucket: &str) -> usize {
        self.keys_in(bucket).len()
    }

    /// The keys of all objects in the bucket.
    pub(crate) fn keys_in(&self, bucket: &str) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        loop {
            let after =
                keys.last().map_or(String::new(), |key| format!("&start-after={}", key.replace('/', "%2F")));
            let path = format!("/{bucket}?list-type=2{after}");
            let page = self.as_root(sign::S3, "GET", &path, &[], "");
            let found = page.split("<Key>").skip(1).filter_map(|rest| rest.split('<').next());
            keys.extend(found.map(str::to_owned));
            if !page.contains("<IsTruncated>true</IsTruncated>") {
                return keys;
            }
        }
    }

    /// Sends whatever text to a queue.
    pub(crate) fn send_message(&self, queue_url: &str, body: &str) {
        self.sqs("SendMessage", json!({ "QueueUrl": queue_url, "MessageBody": body }));
    }

    /// A fresh queue, whose messages go to a dead-letter queue as the template has it.
    pub(crate) fn new_queue(&self) -> QueueUrls {
        let name = unique("jobs");
        let dead = self.create_queue(&format!("{name}-dead"), json!({}));
        let asked =
            self.sqs("GetQueueAttributes", json!({ "QueueUrl": dead, "AttributeNames": ["QueueArn"] }));
        let arn = asked["Attributes"]["QueueArn"].as_str().expect("a queue's ARN").to_string();
        let redrive = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVES });
        let jobs = self.create_queue(&name, json!({ "RedrivePolicy": redrive.to_string() }));
        QueueUrls { jobs, dead }
    }

    fn create_queue(&self, name: &str, attributes: Value) -> String {
        let created = self.sqs("CreateQueue", json!({ "QueueName": name, "Attributes": attributes }));
        created["QueueUrl"].as_str().expect("a queue's URL").to_string()
    }

    fn sqs(&self, action: &str, request: Value) -> Value {
        let headers = [
            ("content-type", "application/x-amz-json-1.0".to_string()),
            ("x-amz-target", format!("AmazonSQS.{action}")),
        ];
        let answer = self.as_root(sign::SQS, "POST", "/", &headers, &request.to_string());
        serde_json::from_str(&answer).expect("an answer in JSON")
    }

    fn iam(&self, action: &str, fields: &[(&str, &str)]) -> String {
        self.as_root("iam", "POST", "/", &form_type(), &form(action, "2010-05-08", fields))
    }

    /// Sends a request with the administrator's key. Panics if it is refused.
    fn as_root(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&'static str, String)],
        body: &str,
    ) -> String {
        let url = format!("{}{path}", self.endpoint);
        let signable = Signable { method, url: &url, headers, body: body.as_bytes() };
        let signature = sign::sign(&signable, service, REGION, &self.root, SystemTime::now()).unwrap();
        let mut request = ureq::http::Request::builder().method(method).uri(&url);
        let given = headers.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in
            given.chain(signature.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        {
            request = request.header(name, value);
        }
        let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().new_agent();
        let mut response = agent.run(request.body(body).unwrap()).unwrap();
        let answer = response.body_mut().read_to_string().unwrap();
        assert!(response.status().is_success(), "{method} {url} {body}: {} {answer}", response.status());
        answer
    }

    /// One of the test's own. [`engine`] is what all share.
    pub(crate) fn start() -> Engine {
        let program = installed("ministack").join("ministack");
        // Other test processes may be after the same port at the same time.
        let mut engine =
            (0..10).find_map(|_| Engine::start_on(&program, free_port())).expect("ministack starts");
        let user = ("UserName", USER);
        engine.iam("CreateUser", &[user]);
        let policy = allow_images();
        engine.iam("PutUserPolicy", &[user, ("PolicyName", "images"), ("PolicyDocument", &policy)]);
        let key = engine.iam("CreateAccessKey", &[user]);
        let field = |name| xml_element(&key, name).expect("an access key");
        engine.user = Credentials::of_key(&field("AccessKeyId"), &field("SecretAccessKey"));
        USERS.lock().unwrap().insert(engine.user.access_key_id.clone(), engine.user.clone());
        engine
    }

    /// None if the engine ended, as it does when the port is taken.
    fn start_on(program: &Path, port: u16) -> Option<Engine> {
        let state = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("ministack-state-{port}"));
        let _ = fs::remove_dir_all(&state);
        fs::create_dir_all(&state).unwrap();
        let root = Credentials::of_key(&format!("AKIAROOT{}", std::process::id()), "root-secret");
        let mut ministack = Command::new(program);
        ministack
            .env("BIND_HOST", "127.0.0.1")
            .env("MINISTACK_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("AUTH", "true")
            .env("MINISTACK_IMDS_V2_REQUIRED", "1")
            .env("AWS_ACCESS_KEY_ID", &root.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &root.secret_access_key)
            .env_remove("AWS_SESSION_TOKEN")
            .env("TMPDIR", &state)
            .env("STATE_DIR", state.join("state"))
            .env("S3_DATA_DIR", state.join("s3"));
        let mut kept = Kept::start(&ministack, &state);
        let endpoint = format!("http://127.0.0.1:{port}");
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if kept.has_ended() {
                return None;
            }
            if is_ready(&endpoint) {
                return Some(Engine {
                    endpoint,
                    user: root.clone(),
                    root,
                    giving: Mutex::default(),
                    kept: Some(kept),
                });
            }
            assert!(
                Instant::now() < deadline,
                "ministack is not ready after {READY_WITHIN:?}:\n{}",
                kept.log()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// IAM and STS API References: form fields in, XML out.
fn form(action: &str, version: &str, fields: &[(&str, &str)]) -> String {
    let mut body = format!("Action={action}&Version={version}");
    for (name, value) in fields {
        let encoded: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
        body.push_str(&format!("&{name}={encoded}"));
    }
    body
}

fn form_type() -> [(&'static str, String); 1] {
    [("content-type", "application/x-www-form-urlencoded".to_string())]
}

fn allow_images() -> String {
    let allow = json!({ "Effect": "Allow", "Action": ["s3:*", "sqs:*"], "Resource": "*" });
    json!({ "Version": "2012-10-17", "Statement": [allow] }).to_string()
}

/// Whether it answers.
fn is_ready(endpoint: &str) -> bool {
    let config = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(2))).proxy(None);
    config.build().new_agent().get(format!("{endpoint}/_ministack/ready")).call().is_ok()
}

/// A name that no other test has.
fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Runs a script that needs what is installed with the engine, with this as its input, and returns what it prints.
pub(crate) fn python(script: &str, input: &str) -> String {
    let mut python = Command::new(installed("ministack").join("python"));
    python.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = python.spawn().expect("python starts");
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it is read");
    let output = child.wait_with_output().expect("python ends");
    assert!(output.status.success(), "python fails on {input}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The directory with a package's programs, which is installed first if need be, as `{package}.txt` has it. One process installs
/// while others wait at the lock. An installation that is half done or of another version is made again.
pub(crate) fn installed(package: &str) -> PathBuf {
    let engines = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("engines");
    fs::create_dir_all(&engines).unwrap();
    let lock = File::create(engines.join("lock")).unwrap();
    lock.lock().unwrap();
    let listed =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system")).join(format!("{package}.txt"));
    let (home, requirements) = (engines.join(package), fs::read_to_string(&listed).unwrap());
    let complete = home.join("complete");
    if fs::read_to_string(&complete).ok() != Some(requirements.clone()) {
        eprintln!("installing {package} into {}: once, takes some seconds", home.display());
        let _ = fs::remove_dir_all(&home);
        run(Command::new("python3").args(["-m", "venv"]).arg(&home));
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
        run(Command::new(home.join("bin/python")).args(pip).arg(listed));
        fs::write(&complete, requirements).unwrap();
    }
    home.join("bin")
}

fn run(command: &mut Command) {
    let status = command.stdin(Stdio::null()).status();
    let done = status.as_ref().is_ok_and(|status| status.success());
    assert!(done, "{command:?} is needed to install the engine that these tests run on: {status:?}");
}
