//! My Little Image Sharer: people POST an image with curl, and get four URLs, for the original and three thumbnails.
//!
//! ```text
//! client ──▶ gate ──▶ api ──▶ upload checks ──▶ Store.create(original) ──▶ Queue.send(job) ──▶ 202
//!                                                  │                        │
//! viewer ◀── CloudFront ◀────────────────────── bucket                    queue
//!                                                  ▲                        │
//!                      worker: Store.put(3 thumbnails) ◀── thumbnail ◀── Store.get ◀── Queue.receive
//! ```
//!
//! Two programs share nothing but a bucket and a queue, so each runs on as many machines as the load asks for. `server
//! --local DIR` is both in one process, on a directory and a list in memory.
//!
//! # A tour, in the order in which the data flows
//!
//! The domain is plain types and two traits: an [`image_id`] names an image, which has an original of some [`format`](mod@format)
//! and three thumbnails, one of each [`size`]. Objects are kept by key in a [`store`]; each upload puts one [`job`] on a
//! [`queue`]. None of these calls AWS, the
//! network or the file system; of HTTP they know only what an object is served with.
//!
//! An upload comes to the [`server`]. The [`server::gate`] lets in only requests that are whole and can be read in one way
//! ([`server::head`]); [`server::api`] finds the image in the body ([`server::multipart`]), makes sure of its structure without
//! decoding it ([`server::inspect`](mod@server::inspect)), stores it, queues the job, and answers 202. For people without
//! curl there is a page ([`server::page`]).
//!
//! A job comes to the [`worker`]: received ([`worker::receive`]), admitted to a core and to memory ([`worker::admit`]), done
//! ([`worker::run`]) with bytes in and three encoded pictures out ([`thumbnail`]), kept from other workers meanwhile
//! ([`worker::heartbeat`]), and deleted or given back ([`worker::settle`]).
//!
//! What was lost on its way is found in the store and queued again ([`reconcile`]): at each start by `server --local`, and when
//! an operator asks for it by `worker --reconcile`.
//!
//! [`local`] and [`aws`] are the two kinds of store and queue. They, the server and the worker do not know each other; only
//! the programs in `src/bin` know them all, and put them together from the settings ([`config`], [`env`](mod@env)).
//!
//! What is left serves all of them: [`log`], [`metrics`], [`counter`], [`secret`], [`networks`], [`shutdown`],
//! [`descriptors`], [`dates`], [`program`], [`check`].

pub mod aws;
pub mod domain;
pub mod local;
pub mod reconcile;
pub mod server;
pub mod support;
pub mod worker;
