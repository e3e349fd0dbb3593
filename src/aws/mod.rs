//! The store and the queue on AWS: S3 and SQS, and whatever speaks like them.
//!
//! Two services, eleven operations, all blocking: that is little enough to do without the AWS SDK, which would bring an
//! asynchronous runtime and some three hundred crates. What the SDK would do is one concern a file here. From the outside in:
//!
//! - [`s3`] and [`sqs`]: the operations, as a [`Store`](crate::domain::store::Store) and a
//!   [`Queue`](crate::domain::queue::Queue);
//! - [`client`]: one call, with its limits and its retries, which [`retry`] decides on; [`error`] reads what AWS says is wrong,
//!   [`endpoint`] says which URL a service has, and [`resolve`] remembers where that is;
//! - [`sign`]: the signature that every request carries;
//! - [`credentials`]: the keys that it is made with, from the [environment](mod@crate::support::env), a profile, the
//!   container's endpoint or the instance's metadata ([`imds`], and [`metadata`] for what the two share).
//!
//! On an EC2 instance the metadata has more for us ([`ec2`]): the settings to run with, and the notice that the instance is about
//! to end. [`check`] is `--check`.
//!
//! The settings are the environment variables of the AWS SDKs (AWS SDKs and Tools Reference Guide, "Settings reference"), as far
//! as S3 and SQS need them. Not read are `AWS_CA_BUNDLE` (AWS's certificates are checked against the
//! roots that are built in; a private endpoint may be http), `HTTPS_PROXY` and its like, the FIPS and dual-stack switches (name
//! such an endpoint in `AWS_ENDPOINT_URL_S3` and `_SQS`), and in the shared files all but a profile's keys, `region` and
//! `endpoint_url`.

use std::sync::Arc;

use crate::aws::client::Client;
use crate::aws::credentials::{CredentialCache, Unavailable, imds, profile};
use crate::domain::failure::{Cause, Failure};
use crate::support::env::Env;

pub mod check;
mod client;
pub mod credentials;
pub mod ec2;
mod endpoint;
pub mod error;
#[cfg(test)]
mod loopback;
mod metadata;
mod resolve;
mod retry;
mod s3;
pub mod sign;
mod sqs;

pub use s3::S3Store;
pub use sqs::SqsQueue;

/// What the store and the queue share: the settings, and one client with its connections and credentials.
#[derive(Clone)]
pub struct Aws {
    env: Arc<Env>,
    client: Arc<Client>,
}

impl Aws {
    /// Settles the region: `AWS_REGION`, else `AWS_DEFAULT_REGION`, else the profile's, else that in the host of the queue's
    /// URL, else the instance's own. Only the last needs the network. Credentials are looked for when they are first needed.
    pub fn new(env: Env, queue_url: &str) -> Result<Aws, Failure> {
        let region = region(&env, queue_url)?;
        let env = Arc::new(env);
        let fetch_env = env.clone();
        let credentials = CredentialCache::new(Box::new(move || credentials::find(&fetch_env)));
        Ok(Aws { client: Arc::new(Client::new(&region, credentials)), env })
    }

    /// The region in use.
    pub fn region(&self) -> &str {
        self.client.region()
    }
}

/// The store in this bucket and the queue at this URL, which share a client.
pub fn store_and_queue(env: &Env, bucket: &str, queue_url: &str) -> Result<(S3Store, SqsQueue), Failure> {
    let aws = Aws::new(env.clone(), queue_url)?;
    Ok((S3Store::new(&aws, bucket)?, SqsQueue::new(&aws, queue_url)?))
}

fn region(env: &Env, queue_url: &str) -> Result<String, Failure> {
    let variables = ["AWS_REGION", "AWS_DEFAULT_REGION"];
    for variable in variables {
        if let Some(region) = env.get(variable) {
            return checked_region(region, variable);
        }
    }
    if let Some(region) = profile::setting(env, "region") {
        return checked_region(&region, "region in the AWS profile");
    }
    if let Some(region) = endpoint::region_of_queue_url(queue_url) {
        return checked_region(region, "JOBS_QUEUE_URL");
    }
    match imds::region(env) {
        Ok(region) => checked_region(&region, "the region in the instance metadata"),
        Err(Unavailable::Broken(reason)) => Err(reason),
        Err(Unavailable::Absent(reason)) => {
            let text = format!(
                "AWS_REGION is not set, and neither the AWS profile, nor JOBS_QUEUE_URL, nor the instance metadata names a \
                 region; set it to something like eu-central-1 ({reason})"
            );
            Err(Failure::caused_by(reason.cause, text, reason))
        }
    }
}

/// Checks that a region cannot change the host name that it becomes part of.
fn checked_region(region: &str, source: &str) -> Result<String, Failure> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if region.is_empty() || region.len() > 32 || !region.chars().all(is_name) {
        let text =
            format!("{source} is {region:?}, but it must be the name of a region, such as eu-central-1");
        return Err(Failure::new(Cause::Refused, text));
    }
    Ok(region.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::loopback::{Loopback, ok};

    const QUEUE_URL: &str = "https://sqs.eu-west-3.amazonaws.com/123456789012/jobs";

    fn region_of(variables: &[(&str, &str)], queue_url: &str) -> Result<String, Failure> {
        let off = [("AWS_EC2_METADATA_DISABLED", "true")];
        region(&off.iter().chain(variables).copied().collect(), queue_url)
    }

    #[test]
    fn where_the_region_comes_from() {
        let both = [("AWS_REGION", "eu-central-1"), ("AWS_DEFAULT_REGION", "us-east-2")];
        assert_eq!(region_of(&both, QUEUE_URL).unwrap(), "eu-central-1");
        assert_eq!(region_of(&both[1..], QUEUE_URL).unwrap(), "us-east-2");
        assert_eq!(region_of(&[], QUEUE_URL).unwrap(), "eu-west-3");
        let error = region_of(&[], "http://localhost:4566/000000000000/jobs").unwrap_err().to_string();
        assert!(error.contains("AWS_REGION is not set"), "{error}");
        assert!(error.contains("off by AWS_EC2_METADATA_DISABLED"), "{error}");
        for bad in ["EU", "eu central", "evil.example.com/", "x#"] {
            let error = region_of(&[("AWS_REGION", bad)], QUEUE_URL).unwrap_err().to_string();
            assert!(error.contains("AWS_REGION") && error.contains(bad), "{error}");
        }
    }

    #[test]
    fn the_region_of_the_instance_is_the_last_resort() {
        let server = Loopback::answering(vec![ok("TOKEN"), ok("ap-south-1")]);
        let env = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url())].into_iter().collect();
        assert_eq!(region(&env, "http://queue.example.com/jobs").unwrap(), "ap-south-1");
    }
}
