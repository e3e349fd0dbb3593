//! The service on S3 and SQS: a bucket and a queue of a test's own on the engine, a server on them, and workers when asked.

use std::thread;

use image_sharer::aws::{Aws, S3Store, SqsQueue};
use image_sharer::domain::key::Key;
use image_sharer::domain::queue::{Depth, Queue};
use image_sharer::domain::store::{Store, StoreError};

use crate::engine::{Engine, QueueUrls, engine};
use crate::program::{Program, free_port, run};

/// A bucket, a queue and a server on them.
pub(crate) struct Stack {
    pub server: Program,
    /// `http://127.0.0.1:port`, where to upload to.
    pub url: String,
    /// For another server or a worker.
    pub environment: Vec<(String, String)>,
    /// The queue of jobs, and its dead-letter queue.
    pub queues: QueueUrls,
    engine: &'static Engine,
    pub bucket: String,
}

/// Threads that read a bucket at a time.
const VIEWERS: usize = 4;

/// The most that any object of a test has.
const MAX_OBJECT_BYTES: usize = 1 << 21;

impl Stack {
    /// With the engine itself to view the images at.
    pub(crate) fn start() -> Stack {
        Stack::shown_by(&engine().endpoint)
    }

    /// With this URL, of a cache in front of the engine, to view the images at.
    pub(crate) fn shown_by(front: &str) -> Stack {
        Stack::on(engine(), front)
    }

    /// With a server that reaches the engine by this URL. What else is started with [`environment`](Stack::environment) does too.
    pub(crate) fn through(endpoint: &str) -> Stack {
        Stack::on_through(engine(), endpoint)
    }

    /// The same on an engine of the test's own.
    pub(crate) fn on_through(engine: &'static Engine, endpoint: &str) -> Stack {
        Stack::start_with(engine, &engine.endpoint, endpoint)
    }

    /// On an engine of the test's own.
    pub(crate) fn on(engine: &'static Engine, front: &str) -> Stack {
        Stack::start_with(engine, front, &engine.endpoint)
    }

    fn start_with(engine: &'static Engine, front: &str, endpoint: &str) -> Stack {
        let queues = engine.new_queue();
        let bucket = engine.new_bucket();
        engine.let_everyone_read(&bucket);
        let mut environment = engine.user_env();
        for (name, value) in [
            ("LISTEN", "127.0.0.1:0"),
            ("METRICS_LISTEN", "127.0.0.1:0"),
            ("IMAGES_BUCKET", &bucket),
            ("JOBS_QUEUE_URL", &queues.jobs),
            ("PUBLIC_URL", &format!("{front}/{bucket}")),
            ("AWS_ENDPOINT_URL", endpoint),
        ] {
            environment.push((name.to_owned(), value.to_owned()));
        }
        let server = Program::start("server", &[], &environment);
        Stack { url: format!("http://{}", server.address()), server, environment, queues, engine, bucket }
    }

    /// From now on the server has a port of its own, and can be killed and [started again](Stack::restart_server) there.
    pub(crate) fn settle_server(&mut self) {
        let address = format!("127.0.0.1:{}", free_port());
        self.environment = self.with("LISTEN", &address);
        self.url = format!("http://{address}");
        self.restart_server();
    }

    /// Kills the server, starts another, and returns the one that was killed.
    pub(crate) fn restart_server(&mut self) -> Program {
        self.server.kill();
        let server = Program::start("server", &[], &self.environment);
        server.address();
        std::mem::replace(&mut self.server, server)
    }

    /// The environment with one more variable.
    pub(crate) fn with(&self, name: &str, value: &str) -> Vec<(String, String)> {
        let mut environment = self.environment.clone();
        environment.push((name.to_owned(), value.to_owned()));
        environment
    }

    /// The environment on an instance of EC2, whose metadata service is at this URL: the credentials are those of its role.
    pub(crate) fn on_ec2(&self, metadata: &str) -> Vec<(String, String)> {
        let of_a_user = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"];
        let mut environment = self.with("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata);
        environment.retain(|(name, _)| !of_a_user.contains(&name.as_str()));
        environment
    }

    /// User data for a machine of that role, from which this one's loopback has this address.
    pub(crate) fn user_data(&self, role: &str, host: &str) -> String {
        let of_the_machine =
            ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED", "LISTEN"];
        let settings = self.environment.iter().filter(|(name, _)| !of_the_machine.contains(&name.as_str()));
        let lines = settings.map(|(name, value)| match name.as_str() {
            "AWS_ENDPOINT_URL" => format!("{name}={}\n", value.replace("127.0.0.1", host)),
            _ => format!("{name}={value}\n"),
        });
        format!("# of a test\nROLE={role}\nLISTEN=0.0.0.0:8080\n{}", lines.collect::<String>())
    }

    /// A worker that has begun.
    pub(crate) fn worker(&self) -> Program {
        let worker = Program::start("worker", &[], &self.environment);
        worker.line_with(&["working"]);
        worker
    }

    /// A worker that ends when the queue is empty, and has.
    pub(crate) fn drain(&self) {
        let output = run("worker", &["--drain"], &self.environment);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// One of the [queues](Stack::queues).
    pub(crate) fn queue(&self, url: &str) -> SqsQueue {
        SqsQueue::new(&Aws::new(self.engine.env_with(&[]), url).unwrap(), url).unwrap()
    }

    /// The bucket, for requests of a test's own.
    pub(crate) fn store(&self) -> S3Store {
        S3Store::new(&Aws::new(self.engine.env_with(&[]), "").unwrap(), &self.bucket).unwrap()
    }

    /// All that is in the bucket.
    pub(crate) fn objects(&self) -> Vec<(Key, Vec<u8>)> {
        let keys: Vec<Key> =
            self.engine.keys_in(&self.bucket).iter().map(|key| key.parse().unwrap()).collect();
        let store = self.store();
        let get = |key: &Key| match store.get(key, MAX_OBJECT_BYTES) {
            Ok(bytes) => Some((*key, bytes)),
            Err(StoreError::NotFound(_)) => None, // the server has just taken it back
            Err(error) => panic!("{error}"),
        };
        let get_all = |keys: &[Key]| keys.iter().filter_map(get).collect::<Vec<_>>();
        thread::scope(|scope| {
            let chunks = keys.chunks(keys.len().div_ceil(VIEWERS).max(1));
            let viewers: Vec<_> = chunks.map(|chunk| scope.spawn(move || get_all(chunk))).collect();
            viewers.into_iter().flat_map(|viewer| viewer.join().expect("no panic in a viewer")).collect()
        })
    }

    /// How many jobs failed for good.
    pub(crate) fn given_up(&self) -> Depth {
        self.queue(&self.queues.dead).depth().unwrap()
    }

    /// How many jobs there are.
    pub(crate) fn depth(&self) -> Depth {
        self.queue(&self.queues.jobs).depth().unwrap()
    }

    /// Whether no job has come to the dead-letter queue.
    pub(crate) fn nothing_was_given_up(&self) -> bool {
        self.queue(&self.queues.dead).depth().unwrap().is_empty()
    }
}
