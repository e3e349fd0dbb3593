//! Which region is called.

use crate::credentials::{Unavailable, imds, profile};
use crate::endpoint;
use crate::env::Env;
use crate::error::{Error, ErrorKind};

/// The region of the calls, checked: `AWS_REGION`, else `AWS_DEFAULT_REGION`, else the profile's, else that in the host of the
/// queue's URL, else the instance's own. Only the last needs the network. `queue_url_setting` names the setting that has the
/// URL, for errors.
pub fn find(env: &Env, queue_url: &str, queue_url_setting: &str) -> Result<String, Error> {
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
        return checked_region(region, queue_url_setting);
    }
    match imds::region(env) {
        Ok(region) => checked_region(&region, "the region in the instance metadata"),
        Err(Unavailable::Broken(reason)) => Err(reason),
        Err(Unavailable::Absent(reason)) => {
            let text = format!(
                "AWS_REGION is not set, and neither the AWS profile, nor {queue_url_setting}, nor the instance metadata names a \
                 region; set it to something like eu-central-1 ({reason})"
            );
            Err(Error::caused_by(reason.kind, text, reason))
        }
    }
}

/// Checks that a region cannot change the host name that it becomes part of.
fn checked_region(region: &str, source: &str) -> Result<String, Error> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if region.is_empty() || region.len() > 32 || !region.chars().all(is_name) {
        let text =
            format!("{source} is {region:?}, but it must be the name of a region, such as eu-central-1");
        return Err(Error::new(ErrorKind::Refused, text));
    }
    Ok(region.to_string())
}

#[cfg(test)]
mod tests {
    use samples::loopback::{Loopback, ok};

    use super::*;

    const QUEUE_URL: &str = "https://sqs.eu-west-3.amazonaws.com/123456789012/jobs";

    fn region_of(variables: &[(&str, &str)], queue_url: &str) -> Result<String, Error> {
        let off = [("AWS_EC2_METADATA_DISABLED", "true")];
        find(&off.iter().chain(variables).copied().collect(), queue_url, "JOBS_QUEUE_URL")
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
        assert_eq!(find(&env, "http://queue.example.com/jobs", "JOBS_QUEUE_URL").unwrap(), "ap-south-1");
    }
}
