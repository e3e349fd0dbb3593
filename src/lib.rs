//! My Little Image Sharer: people POST an image with curl, and get four URLs, for the original and three thumbnails.
//!
//! ```text
//! server  client ──▶ gate ──▶ api ──▶ pictures::inspect ──▶ Store.create(original) ──▶ Queue.send(job) ──▶ 202
//! worker  Queue.receive ──▶ Store.get(original) ──▶ pictures::thumbnails ──▶ Store.put(3 thumbnails) ──▶ Queue.delete
//! views   the bucket ──▶ CloudFront ──▶ viewer
//! ```
//!
//! The two programs share nothing but a bucket (the store) and a queue, so each runs on as many machines as the load asks for.
//! `server --local DIR` is both in one process, on a directory and a list in memory.
//!
//! # A tour, in the order in which the data flows
//!
//! 1. [`domain`] has the nouns. An [`image_id`](domain::image_id) names an image, which has an original of some
//!    [`format`](mod@domain::format) and three thumbnails, one of each [`size`](domain::size). Objects are kept by
//!    [`key`](domain::key) in a [`store`](domain::store). Each upload puts one [`job`](domain::job) on a
//!    [`queue`](domain::queue). The store and the queue are traits, and a [`failure`](domain::failure) says why one of them did
//!    not do what it was asked.
//! 2. [`server`] takes an upload. The crate `gate` lets only whole requests that can be read in one way reach the
//!    [`api`](server::api). The api finds the image in the body, inspects it without decoding it, stores it, queues the job and
//!    answers 202 (Accepted).
//! 3. [`worker`] makes the thumbnails. A job is received, admitted to a core and to memory, run, kept invisible to other workers
//!    meanwhile by a [`heartbeat`](worker::heartbeat), and settled: deleted, or given back.
//! 4. [`reconcile`] finds jobs that were lost, from originals that lack thumbnails: at each start of `server --local`, and when
//!    an operator runs `worker --reconcile`. Its [`redrive`](reconcile::redrive) moves jobs that failed too often from the
//!    dead-letter queue back to the queue.
//! 5. [`local`] is a store in a directory, and a queue in memory. [`aws`] is a store on S3 and a queue on SQS. On an EC2
//!    instance, [`ec2`](aws::ec2) reads the settings and notices that the instance is about to end.
//! 6. [`support`] is what all of these stand on: the settings ([`config`](support::config)), the [`log`](support::log),
//!    [`metrics`](support::metrics), and how a program [stops](support::shutdown).
//!
//! The server, the worker, `reconcile`, `local` and `aws` depend on the domain and on `support`, and not on each other. The
//! programs in `src/bin` put them together.
//!
//! What knows nothing of this service is a crate. `gate` is the strict HTTP/1.1 reader in front of tiny_http. `form_data` finds
//! one field in a multipart body. `pictures` inspects pictures and makes thumbnails. `aws_client` calls AWS without an SDK
//! (signatures, retries, credentials).

// The service's docs are for those who read its code, so they are built with the private items and may link to them.
#![allow(rustdoc::private_intra_doc_links)]

pub mod aws;
pub mod domain;
pub mod local;
pub mod reconcile;
pub mod server;
pub mod support;
pub mod worker;
