//! My Little Image Sharer: people POST an image with curl, and get four URLs, for the original and three thumbnails.
//!
//! ```text
//! client ──▶ gate ──▶ api ──▶ pictures::inspect ──▶ Store.create(original) ──▶ Queue.send(job) ──▶ 202
//!                                                  │                        │
//! viewer ◀── CloudFront ◀────────────────────── bucket                    queue
//!                                                  ▲                        │
//!                     Store.put(3 thumbnails) ◀── pictures::thumbnails ◀── Store.get ◀── Queue.receive ◀── worker
//! ```
//!
//! Two programs share nothing but a bucket and a queue, so each runs on as many machines as the load asks for. `server
//! --local DIR` is both in one process, on a directory and a list in memory.
//!
//! # A tour, in the order in which the data flows
//!
//! 1. [`domain`] has the nouns. An [`image_id`](domain::image_id) names an image, which has an original of some
//!    [`format`](mod@domain::format) and three thumbnails, one of each [`size`](domain::size). Objects are kept by
//!    [`key`](domain::key) in a [`store`](domain::store). Each upload puts one [`job`](domain::job) on a
//!    [`queue`](domain::queue). The store and the queue are traits, and a [`failure`](domain::failure) says why one of them did
//!    not do what it was asked.
//! 2. [`server`] takes an upload. Only whole requests that can be read in one way reach the [`api`](server::api). It finds the
//!    image in the body, inspects it without decoding it, stores it, queues the job and answers 202.
//! 3. [`worker`] makes the thumbnails. A job is received, admitted to a core and to memory, run, kept invisible to other workers
//!    meanwhile by a [`heartbeat`](worker::heartbeat), and settled: deleted, or given back.
//! 4. [`reconcile`] finds jobs that were lost, from originals that lack thumbnails: at each start of `server --local`, and when
//!    an operator runs `worker --reconcile`. Its [`redrive`](reconcile::redrive) moves dead letters back.
//! 5. [`local`] is a store in a directory, and a queue in memory. [`aws`] is a store on S3 and a queue on SQS.
//!    [`ec2`](aws::ec2) is what only a machine at EC2 has.
//! 6. [`support`] is what all of these stand on: the settings ([`config`](support::config)), the [`log`](support::log),
//!    [`metrics`](support::metrics), and how a program [stops](support::shutdown).
//!
//! The server, the worker, `local` and `aws` depend on the domain and not on each other. The programs in `src/bin` put them
//! together. What a picture is, and how it is scaled, is the crate `pictures`. What it takes to call AWS without an SDK
//! (signatures, retries, credentials) is the crate `aws_client`.

// The service's docs are for those who read its code, so they are built with the private items and may link to them.
#![allow(rustdoc::private_intra_doc_links)]

pub mod aws;
pub mod domain;
pub mod local;
pub mod reconcile;
pub mod server;
pub mod support;
pub mod worker;
