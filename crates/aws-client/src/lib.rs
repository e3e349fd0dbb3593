//! What it takes to call AWS without an SDK: a blocking client that signs, retries and finds credentials.
//!
//! A program that makes a dozen different calls, all blocking, is small enough to do without the AWS SDK, which would bring an
//! asynchronous runtime and some three hundred crates. Each thing that the SDK would do has a file here. From the outside in:
//!
//! - [`Client`] makes one call within its limits, and `retry.rs` decides whether to make it again. `answer.rs` reads what AWS
//!   says is wrong, and [`error`] tells of what kind that is;
//! - [`endpoint`] says which URL a service has, [`region`] for which region a call is, and `resolve/` finds and remembers where
//!   a host is, without the C library;
//! - [`sign`] makes the signature that every request carries;
//! - [`credentials`] finds the keys that it is made with, in the [environment](mod@env), a profile, the container's endpoint or
//!   the instance's metadata ([`credentials::imds`], and `metadata.rs` for what the last two share).
//!
//! The settings are the environment variables of the AWS SDKs (AWS SDKs and Tools Reference Guide, "Settings reference"), as far
//! as calls to S3 and SQS need them. What an SDK does and this does not:
//!
//! - Operations have no types. A caller writes a call's URL, headers and body, and reads the answer's bytes ([`xml_element`]
//!   helps). Only S3's XML and SQS's JSON are known, by [`sign::S3`] and [`sign::SQS`].
//! - A body is in memory, as a whole. It is never streamed, and never sent in parts.
//! - Roles are not assumed, and single sign-on and other programs are not asked for keys. A profile that needs this is refused.
//! - Not read are `AWS_CA_BUNDLE` (AWS's certificates are checked against the roots that are built in; a private endpoint may
//!   be http), `HTTPS_PROXY` and its like, the FIPS and dual-stack switches (name such an endpoint in `AWS_ENDPOINT_URL_S3` and
//!   `_SQS`), and in the shared files all but a profile's keys, `region` and `endpoint_url`.
//!
//! Nothing is logged. The caller is told of each retry as an [`Event`], and may log it.
//!
//! To read on: `Client::call` in `client.rs` is a call from beginning to end. Then come `retry.rs`, `sign.rs` and
//! `credentials/mod.rs`.

// The docs are for those who read the code, so they are built with the private items and may link to them.
#![allow(rustdoc::private_intra_doc_links)]

mod answer;
mod client;
pub mod credentials;
pub mod dates;
pub mod endpoint;
pub mod env;
pub mod error;
mod event;
mod metadata;
pub mod region;
mod resolve;
mod retry;
pub mod sign;

pub use answer::{ErrorAnswer, xml_element};
pub use client::{AwsCall, CALL_BUDGET, Client, Reply, next_delay};
pub use event::{Event, Observer};
pub use retry::{Decision, MAX_ATTEMPTS};
