//! The service without AWS: Garage as the store, which is strict about signatures and checksums, and roto as the queue, which
//! keeps it on the disk. docs/OPERATIONS.md says how to run them.
//!
//! Building Garage takes half an hour, so these tests are ignored. Once:
//!
//! ```sh
//! cargo install garage --version 2.5.0 --locked --root target/garage \
//!     --no-default-features --features bundled-libs,lmdb,sqlite
//! cargo test --test system -- --ignored garage::
//! ```
//!
//! What differs from S3: Garage does not heed `If-None-Match`, so two originals of one id would not be noticed. Ids are 128
//! random bits, and nothing else depends on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use aws_client::credentials::Credentials;
use image_sharer::aws::{Aws, S3Store, SqsQueue};
use image_sharer::domain::store::Store;

use crate::audit::Audit;
use crate::cdn::Cdn;
use crate::contract::suites::{QueueUnderTest, original, queue, store};
use crate::durable::Durable;
use crate::pictures;
use crate::program::{Program, free_port, wait_until};

const BUCKET: &str = "images";
const ACCESS_KEY_ID: &str = "GK0123456789abcdef01234567";
const SECRET_ACCESS_KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// One node, with no other to replicate to. The web endpoint shows a bucket to requests that have its name as the host.
const CONFIGURATION: &str = r#"
metadata_dir = "DIRECTORY/meta"
data_dir = "DIRECTORY/data"
metadata_fsync = true
data_fsync = true
db_engine = "lmdb"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:RPC"
rpc_public_addr = "127.0.0.1:RPC"
rpc_secret = "1799bccfd7411eddcf9ebd316bc1f5287ad12a68094e1c6ac6abde7e6feae1ec"
[s3_api]
s3_region = "us-east-1"
api_bind_addr = "127.0.0.1:API"
[s3_web]
bind_addr = "127.0.0.1:WEB"
root_domain = ".web.garage"
index = "index.html"
"#;

fn garage_program() -> PathBuf {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/garage/bin/garage");
    assert!(program.exists(), "there is no {}: see tests/system/garage.rs", program.display());
    program
}

/// Garage, and where it shows the bucket to viewers.
fn garage() -> (Durable, String) {
    let [api, web, rpc] = [(); 3].map(|()| free_port());
    let command = move |directory: &Path, arguments: &[&str]| {
        let configuration = directory.join("garage.toml");
        let text = CONFIGURATION.replace("DIRECTORY", &directory.display().to_string());
        let text = [("API", api), ("WEB", web), ("RPC", rpc)]
            .iter()
            .fold(text, |text, (name, port)| text.replace(name, &port.to_string()));
        fs::write(&configuration, text).unwrap();
        let mut garage = Command::new(garage_program());
        garage.arg("-c").arg(configuration).args(arguments);
        garage.env("GARAGE_DEFAULT_BUCKET", BUCKET);
        garage.env("GARAGE_DEFAULT_ACCESS_KEY", ACCESS_KEY_ID);
        garage.env("GARAGE_DEFAULT_SECRET_KEY", SECRET_ACCESS_KEY);
        garage
    };
    let durable = Durable::start(api, key(), move |directory| {
        command(directory, &["server", "--single-node", "--default-bucket"])
    });
    wait_until("the bucket is there", || {
        let shown = command(&durable.path(), &["bucket", "website", "--allow", BUCKET]).output();
        shown.is_ok_and(|output| output.status.success()).then_some(())
    });
    (durable, format!("http://127.0.0.1:{web}"))
}

fn key() -> Credentials {
    Credentials::of_key(ACCESS_KEY_ID, SECRET_ACCESS_KEY)
}

fn environment(endpoints: &[(&str, &str)]) -> Vec<(String, String)> {
    let others = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("IMAGES_BUCKET", BUCKET),
        ("LISTEN", "127.0.0.1:0"),
    ];
    let all = endpoints.iter().copied().chain(others);
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn aws(endpoints: &[(&str, &str)]) -> Aws {
    let environment = environment(endpoints);
    let variables = environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Aws::new(variables.collect(), "").unwrap()
}

#[test]
#[ignore = "Garage takes half an hour to build: see tests/system/garage.rs"]
fn the_stores_contract() {
    let (garage, _) = garage();
    let endpoint = [("AWS_ENDPOINT_URL_S3", garage.engine.endpoint.as_str())];
    let garages = S3Store::new(&aws(&endpoint), BUCKET).unwrap();
    let suite: [fn(&dyn Store); 6] = [
        store::lists_in_order_and_in_pages, // as long as the bucket is empty
        store::puts_again,
        store::gets_what_was_put,
        store::gets_no_more_than_asked,
        store::misses_what_is_not_there,
        store::deletes,
    ];
    suite.iter().for_each(|test| test(&garages));
    // The difference. If this fails Garage has learnt it, and the two tests that are left out belong above.
    let key = original();
    garages.create(&key, b"first").unwrap();
    assert!(garages.create(&key, b"second").is_ok(), "Garage heeds If-None-Match");
}

#[test]
#[ignore = "it goes with the others here: see tests/system/garage.rs"]
fn the_queues_contract() {
    let roto = Durable::roto();
    let suite: [fn(&QueueUnderTest); 14] = [
        queue::receives_what_was_sent,
        queue::waits_for_a_message,
        queue::returns_without_one,
        queue::hides_what_was_received,
        queue::gives_back_at_once,
        queue::gives_back_later,
        queue::keeps_what_is_extended,
        queue::counts_receives,
        queue::deletes_for_good,
        queue::takes_batches_of_any_size,
        queue::bears_stale_receipts,
        queue::knows_its_depth,
        queue::gives_up_after_max_receives,
        queue::gives_each_message_to_one,
    ];
    for test in suite {
        let queues = roto.engine.new_queue();
        let aws = aws(&[("AWS_ENDPOINT_URL_SQS", &roto.engine.endpoint)]);
        let queue = |url: &str| Box::new(SqsQueue::new(&aws, url).unwrap());
        test(&QueueUnderTest { jobs: queue(&queues.jobs), dead: Some(queue(&queues.dead)) });
    }
}

/// From the upload to the viewer, and with each of the two killed while jobs wait.
#[test]
#[ignore = "Garage takes half an hour to build: see tests/system/garage.rs"]
fn the_service_on_garage_and_roto_outlives_both() {
    let ((mut garage, web), mut roto) = (garage(), Durable::roto());
    let queues = roto.engine.new_queue();
    let front = Cdn::of_site(&format!("{BUCKET}.web.garage"), &web, Duration::from_secs(1));
    let environment = environment(&[
        ("AWS_ENDPOINT_URL_S3", &garage.engine.endpoint),
        ("AWS_ENDPOINT_URL_SQS", &roto.engine.endpoint),
        ("JOBS_QUEUE_URL", &queues.jobs),
        ("PUBLIC_URL", &front.url),
    ]);
    let server = Program::start("server", &[], &environment);
    let url = format!("http://{}", server.address());
    let audit = Audit::default();
    let picture: Arc<[u8]> = pictures::jpeg(1200, 900).into();
    for _ in 0..5 {
        audit.upload(&url, &picture).urls();
    }
    for engine in [&mut garage, &mut roto] {
        engine.kill();
        engine.start_again();
    }
    for _ in 0..5 {
        wait_until("uploads are taken again", || (audit.upload(&url, &picture).status == 202).then_some(()));
    }
    let _worker = Program::start("worker", &[], &environment);
    assert_eq!(audit.nothing_is_lost(), 10);
}
