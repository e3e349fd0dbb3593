//! Which URL a service has: AWS's own for the region, or the one that `AWS_ENDPOINT_URL` names.

use ureq::http::Uri;

use crate::credentials::profile;
use crate::env::{self, Env};
use crate::error::{Error, ErrorKind};

/// The endpoint from the first of these variables that is set, else from the profile: scheme, host, perhaps port and path, and
/// no slash at the end.
pub fn configured(env: &Env, variables: &[&str]) -> Result<Option<String>, Error> {
    let ignored = env.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    if ignored.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let of_variables = variables.iter().find_map(|name| Some((*name, env.get(name)?.to_string())));
    let of_profile = || Some(("endpoint_url in the AWS profile", profile::setting(env, "endpoint_url")?));
    let Some((variable, value)) = of_variables.or_else(of_profile) else { return Ok(None) };
    let endpoint = split(&value).filter(|(_, path)| !path.contains(['?', '#']));
    match endpoint {
        Some((origin, path)) => Ok(Some(format!("{origin}{}", path.trim_end_matches('/')))),
        None => Err(Error::new(
            ErrorKind::Refused,
            format!(
                "{variable} is {:?}, but it must be a URL such as http://127.0.0.1:4566",
                env::shown(&value)
            ),
        )),
    }
}

/// An http or https URL as its origin and the rest. A port that is the scheme's own is left out of the origin, because the
/// signature is over the host as clients send it: without.
pub fn split(url: &str) -> Option<(String, &str)> {
    let uri = url.parse::<Uri>().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    let default_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return None;
    }
    let port = uri.port_u16().filter(|port| *port != default_port).map(|port| format!(":{port}"));
    let rest = &url[scheme.len() + "://".len() + authority.as_str().len()..];
    Some((format!("{scheme}://{}{}", authority.host(), port.unwrap_or_default()), rest))
}

/// The domain that AWS's hosts of a region are in: each partition, which the region's prefix tells, has its own (AWS General
/// Reference, "Regional endpoints").
pub fn domain(region: &str) -> &'static str {
    const DOMAINS: [(&str, &str); 6] = [
        ("cn-", "amazonaws.com.cn"),
        ("eusc-", "amazonaws.eu"),
        ("us-iso-", "c2s.ic.gov"),
        ("us-isob-", "sc2s.sgov.gov"),
        ("eu-isoe-", "cloud.adc-e.uk"),
        ("us-isof-", "csp.hci.ic.gov"),
    ];
    let found = DOMAINS.iter().find(|(prefix, _)| region.starts_with(prefix));
    found.map_or("amazonaws.com", |(_, domain)| domain)
}

/// The region in `https://sqs.{region}.amazonaws.com/…`, if the URL is one of these.
pub fn region_of_queue_url(url: &str) -> Option<&str> {
    let host = url.strip_prefix("https://sqs.")?.split('/').next()?;
    let (region, rest) = host.split_once('.')?;
    (rest == domain(region)).then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_from_the_environment() {
        let names = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
        let endpoint = |value: &str| configured(&[("AWS_ENDPOINT_URL", value)].into_iter().collect(), &names);
        for (value, expected) in [
            ("http://127.0.0.1:4566", "http://127.0.0.1:4566"),
            ("http://[::1]:4566/", "http://[::1]:4566"),
            ("https://minio.example.com:443/", "https://minio.example.com"),
            ("http://minio.example.com:80", "http://minio.example.com"),
            ("https://gateway.example.com/s3/", "https://gateway.example.com/s3"),
        ] {
            assert_eq!(endpoint(value).unwrap().as_deref(), Some(expected), "{value}");
        }
        for bad in ["localhost:4566", "ftp://x/", "/", "http://", "http://x/?q", "http://x y/"] {
            let error = endpoint(bad).unwrap_err().to_string();
            assert!(error.contains("AWS_ENDPOINT_URL is") && error.contains(bad), "{error}");
        }
        let error = endpoint("http://user:hush@b/").unwrap_err().to_string();
        assert!(error.contains("@b/") && !error.contains("hush"), "{error}");
        assert_eq!(endpoint("").unwrap(), None);
        let both =
            [("AWS_ENDPOINT_URL", "http://a"), ("AWS_ENDPOINT_URL_S3", "http://b")].into_iter().collect();
        assert_eq!(configured(&both, &names).unwrap().as_deref(), Some("http://b"));
    }

    #[test]
    fn regions_of_queue_urls() {
        for (url, region) in [
            ("https://sqs.eu-central-1.amazonaws.com/123456789012/jobs", Some("eu-central-1")),
            ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/jobs", Some("cn-north-1")),
            ("https://sqs.cn-north-1.amazonaws.com/123456789012/jobs", None),
            ("https://sqs.us-gov-west-1.amazonaws.com/123456789012/jobs", Some("us-gov-west-1")),
            ("https://sqs.eusc-de-east-1.amazonaws.eu/123456789012/jobs", Some("eusc-de-east-1")),
            ("https://sqs.us-iso-east-1.c2s.ic.gov/123456789012/jobs", Some("us-iso-east-1")),
            ("https://sqs.us-isob-east-1.sc2s.sgov.gov/123456789012/jobs", Some("us-isob-east-1")),
            ("https://sqs.eu-central-1.amazonaws.com.evil.example/1/jobs", None),
            ("http://localhost:4566/000000000000/jobs", None),
            ("", None),
        ] {
            assert_eq!(region_of_queue_url(url), region, "{url}");
        }
    }
}
