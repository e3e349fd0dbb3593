//! The service on S3 and SQS: a bucket and a queue of a test's own on the engine, a server on them, and workers when asked.

use image_sharer::aws::{Aws, SqsQueue};
use image_sharer::queue::{Depth, Queue};

use crate::engine::{QueueUrls, engine};
use crate::program::{Program, run};

/// A bucket, a queue and a server on them.
pub struct Stack {
    /// The program.
    pub server: Program,
    /// `http://127.0.0.1:port`, where to upload to.
    pub url: String,
    /// For another server or a worker.
    pub environment: Vec<(String, String)>,
    /// The jobs and where they end that fail for ever.
    pub queues: QueueUrls,
    /// The bucket.
    pub bucket: String,
}

impl Stack {
    /// With the engine itself to view the images at.
    pub fn start() -> Stack {
        Stack::shown_by(&engine().endpoint)
    }

    /// With the images to be viewed at this URL of whatever stands in front of the engine.
    pub fn shown_by(front: &str) -> Stack {
        Stack::start_with(front, &engine().endpoint)
    }

    /// With a server that reaches the engine by this URL. What else is started with [`environment`](Stack::environment) does too.
    pub fn through(endpoint: &str) -> Stack {
        Stack::start_with(&engine().endpoint, endpoint)
    }

    fn start_with(front: &str, endpoint: &str) -> Stack {
        let (engine, queues) = (engine(), engine().new_queue());
        let bucket = engine.new_bucket();
        engine.let_everyone_read(&bucket);
        let mut environment = engine.user_env();
        for (name, value) in [
            ("LISTEN", "127.0.0.1:0"),
            ("IMAGES_BUCKET", &bucket),
            ("JOBS_QUEUE_URL", &queues.jobs),
            ("PUBLIC_URL", &format!("{front}/{bucket}")),
            ("AWS_ENDPOINT_URL", endpoint),
        ] {
            environment.push((name.to_owned(), value.to_owned()));
        }
        let server = Program::start("server", &[], &environment);
        Stack { url: format!("http://{}", server.address()), server, environment, queues, bucket }
    }

    /// The environment with one more variable.
    pub fn with(&self, name: &str, value: &str) -> Vec<(String, String)> {
        let mut environment = self.environment.clone();
        environment.push((name.to_owned(), value.to_owned()));
        environment
    }

    /// The environment on an instance of EC2, whose metadata service is at this URL: the credentials are those of its role.
    pub fn on_ec2(&self, metadata: &str) -> Vec<(String, String)> {
        let of_a_user = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"];
        let mut environment = self.with("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata);
        environment.retain(|(name, _)| !of_a_user.contains(&name.as_str()));
        environment
    }

    /// A worker that has begun.
    pub fn worker(&self) -> Program {
        let worker = Program::start("worker", &[], &self.environment);
        worker.line_with(&["working"]);
        worker
    }

    /// A worker that ends when the queue is empty, and has.
    pub fn drain(&self) {
        let output = run("worker", &["--drain"], &self.environment);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// One of the [queues](Stack::queues).
    pub fn queue(&self, url: &str) -> SqsQueue {
        SqsQueue::new(&Aws::new(engine().env_with(&[]), url).unwrap(), url).unwrap()
    }

    /// How many jobs there are.
    pub fn depth(&self) -> Depth {
        self.queue(&self.queues.jobs).depth().unwrap()
    }
    /// Whether no job has come to the dead-letter queue.
    pub fn nothing_was_given_up(&self) -> bool {
        self.queue(&self.queues.dead).depth().unwrap().is_empty()
    }
}
