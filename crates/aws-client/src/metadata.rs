//! The container endpoint and the instance metadata have this in common: plain HTTP to an address one hop away, short waits, and
//! credentials in JSON.

use std::thread;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::Request;
use ureq::unversioned::transport::DefaultConnector;

use crate::credentials::Credentials;
use crate::dates;
use crate::error::{Error, ErrorKind};
use crate::resolve::HostResolver;

/// How long a request is worth waiting for. The two services differ in this.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How often a request is made that got no answer, a 5xx or a 429. Both services drop one now and then at boot.
    pub attempts: u32,
}

/// Between two attempts. A service that is just starting, or sheds load, would fail again if it was asked at once.
pub(crate) const PAUSE_BETWEEN_ATTEMPTS: Duration = Duration::from_millis(200);

/// The most bytes of an answer that are read. Credentials are about 2 KB.
pub(crate) const MAX_METADATA_BYTES: u64 = 64 * 1024;

/// An answer that came, whatever its status.
pub(crate) struct MetadataAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body, as text.
    pub text: String,
}

/// One request without a body. Redirects are not followed: they could lead the authorization elsewhere.
pub(crate) fn request(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    patience: Patience,
) -> Result<MetadataAnswer, ureq::Error> {
    let config = Agent::config_builder()
        .timeout_global(Some(patience.timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None);
    let agent = Agent::with_parts(config.build(), DefaultConnector::default(), HostResolver::new(|_| ()));
    let mut attempt = 1;
    loop {
        let answer = request_once(&agent, method, url, headers);
        let passing = answer.as_ref().map_or(true, |answer| matches!(answer.status, 429 | 500..));
        if !passing || attempt >= patience.attempts {
            return answer;
        }
        attempt += 1;
        thread::sleep(PAUSE_BETWEEN_ATTEMPTS);
    }
}

fn request_once(
    agent: &Agent,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
) -> Result<MetadataAnswer, ureq::Error> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    // A PUT without a body says so with `Content-Length: 0`.
    let mut response = match method {
        "PUT" => agent.run(request.body("")?)?,
        _ => agent.run(request.body(())?)?,
    };
    let status = response.status().as_u16();
    let text =
        response.body_mut().with_config().limit(MAX_METADATA_BYTES).lossy_utf8(true).read_to_string()?;
    Ok(MetadataAnswer { status, text })
}

/// Reads `{"AccessKeyId": …, "SecretAccessKey": …, "Token": …, "Expiration": …}` (AWS SDKs and Tools Reference Guide,
/// "Container credential provider"; EC2 User Guide, "Retrieve security credentials from instance metadata").
pub(crate) fn credentials_from_json(text: &str) -> Result<Credentials, Error> {
    let body: Value = serde_json::from_str(text)
        .map_err(|e| Error::caused_by(ErrorKind::Other, format!("credentials are not JSON: {e}"), e))?;
    // Only the instance metadata has a code; it is not "Success" when the role cannot be assumed.
    if let Some(code) = body["Code"].as_str().filter(|code| *code != "Success") {
        let text = format!("no credentials: {code}: {}", body["Message"].as_str().unwrap_or_default());
        return Err(Error::new(ErrorKind::Refused, text));
    }
    let field = |name: &str| {
        let value = body[name].as_str().filter(|value| !value.is_empty());
        value
            .map(str::to_string)
            .ok_or_else(|| Error::new(ErrorKind::Other, format!("credentials have no {name}")))
    };
    let expiration = field("Expiration")?;
    let expires = dates::from_rfc3339(&expiration).ok_or_else(|| {
        let text = format!("credentials have Expiration {expiration:?}, which is no ISO 8601 time in UTC");
        Error::new(ErrorKind::Other, text)
    })?;
    Ok(Credentials {
        access_key_id: field("AccessKeyId")?,
        secret_access_key: field("SecretAccessKey")?,
        session_token: Some(field("Token")?),
        expires: Some(expires),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use samples::loopback::{Loopback, answer, ok};

    use super::*;

    #[test]
    fn attempts_are_counted_and_spaced() {
        let patience = Patience { timeout: Duration::from_secs(2), attempts: 3 };
        let failing = || answer("503 X", &[], "");
        for (answers, status) in [
            (vec![failing(), failing(), ok("")], 200),
            (vec![failing(), failing(), failing(), ok("")], 503),
            (vec![String::new(), String::new(), ok("")], 200),
        ] {
            let server = Loopback::answering(answers);
            let start = Instant::now();
            let answer = request("GET", &server.url(), &[], patience).unwrap();
            assert_eq!((answer.status, server.requests().len()), (status, 3));
            assert!(start.elapsed() >= PAUSE_BETWEEN_ATTEMPTS * 2, "{:?}", start.elapsed());
        }
    }

    #[test]
    fn credentials_in_json() {
        let json = r#"{"Code":"Success","AccessKeyId":"ASIA","SecretAccessKey":"hush","Token":"tok",
            "Expiration":"2026-11-24T12:00:00Z"}"#;
        let found = credentials_from_json(json).unwrap();
        assert_eq!(found.access_key_id, "ASIA");
        assert_eq!(found.expires, dates::from_rfc3339("2026-11-24T12:00:00Z"));
        for (from, to) in [
            ("Success", "AssumeRoleUnauthorizedAccess"),
            ("\"AccessKeyId\"", "\"Id\""),
            ("\"hush\"", "null"),
            ("\"tok\"", "\"\""),
            ("2026-11-24T12:00:00Z", "tomorrow"),
        ] {
            let error = credentials_from_json(&json.replace(from, to)).unwrap_err().to_string();
            assert!(!error.contains("hush"), "{error}");
        }
        for bad in ["", "[]", "<html>", "\u{0}"] {
            assert!(credentials_from_json(bad).is_err(), "{bad:?}");
        }
    }
}
