//! The contract of stores and queues, for S3 and SQS; and what an operator sees when a setting is wrong.

use std::time::SystemTime;

use image_sharer::aws::{Aws, S3Store, SqsQueue};
use image_sharer::domain::queue::Queue;
use image_sharer::domain::store::Store;

use crate::engine::{QueueUrls, engine};
use suites::QueueUnderTest;

mod refusals;
#[macro_use]
#[path = "../common/suites.rs"]
pub(crate) mod suites;

store_contract!(s3_store, aws_store());
queue_contract!(sqs_queue, aws_queue());

fn aws_store() -> Box<dyn Store> {
    let aws = Aws::new(engine().env_with(&[]), "").unwrap();
    Box::new(S3Store::new(&aws, &engine().new_bucket()).unwrap())
}

fn aws_queue() -> Box<QueueUnderTest> {
    let QueueUrls { jobs, dead } = engine().new_queue();
    let aws = Aws::new(engine().env_with(&[]), &jobs).unwrap();
    let queue = |url: &str| -> Box<dyn Queue> { Box::new(SqsQueue::new(&aws, url).unwrap()) };
    Box::new(QueueUnderTest { jobs: queue(&jobs), dead: Some(queue(&dead)) })
}

/// The engine is also an instance metadata service, which hands out keys that it then does not know.
#[test]
fn credentials_and_region_of_the_instance() {
    use aws_client::credentials::{self, imds};
    let variables =
        [("AWS_EC2_METADATA_SERVICE_ENDPOINT", engine().endpoint.as_str()), ("HOME", "/nonexistent")];
    let env = variables.into_iter().collect();
    let found = credentials::find(&env).unwrap();
    assert!(found.access_key_id.starts_with("ASIA") && found.session_token.is_some(), "{found:?}");
    assert!(found.expires.unwrap() > SystemTime::now() + credentials::REFRESH_EARLY, "{found:?}");
    assert_eq!(imds::region(&env).unwrap(), "us-east-1");
}
