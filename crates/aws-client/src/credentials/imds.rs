//! The metadata service of the EC2 instance on which this runs: credentials, region, user data, and whether the instance is
//! about to end.
//!
//! Only version 2 is spoken: a token is got by PUT first, which a forged request through a proxy or a page cannot do. EC2 User
//! Guide, "Use the Instance Metadata Service to access instance metadata".

use std::time::Duration;

use crate::credentials::{Credentials, Unavailable};
use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::metadata::{self, Patience};

const DISABLED: &str = "AWS_EC2_METADATA_DISABLED";
const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const DEFAULT_ENDPOINT: &str = "http://169.254.169.254";

/// Short, because there is a metadata service only on an instance, and the packets vanish anywhere else: this is then how long
/// the program waits to find out.
const PATIENCE: Patience = Patience { timeout: Duration::from_secs(1), attempts: 2 };

/// How long a token is good for, in seconds (1 to 21,600). One serves the three requests of a fetch and is then forgotten.
const TOKEN_TTL_SECONDS: &str = "60";

/// The credentials of the instance's role.
pub(crate) fn credentials(env: &Env) -> Result<Credentials, Unavailable> {
    let session = Session::start(env)?;
    let roles =
        session.require("/latest/meta-data/iam/security-credentials/").map_err(Unavailable::Absent)?;
    let role = roles.lines().next().unwrap_or_default().trim();
    // A role's name goes into a path; IAM allows it these characters.
    let is_name = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
    if role.is_empty() || !role.chars().all(is_name) {
        return Err(Unavailable::absent(format!("the instance metadata names no role, but {role:?}")));
    }
    let text = session.require(&format!("/latest/meta-data/iam/security-credentials/{role}"));
    text.and_then(|text| metadata::credentials_from_json(&text))
        .map_err(|e| Unavailable::Broken(e.about(format!("instance metadata, role {role}"))))
}

/// The instance's region.
pub fn region(env: &Env) -> Result<String, Unavailable> {
    let region =
        Session::start(env)?.require("/latest/meta-data/placement/region").map_err(Unavailable::Absent)?;
    Ok(region.trim().to_string())
}

/// A token, and where it is good.
pub struct Session {
    endpoint: String,
    token: String,
}

impl Session {
    pub fn start(env: &Env) -> Result<Session, Unavailable> {
        if env.get(DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Err(Unavailable::absent(format!("instance metadata is off by {DISABLED}")));
        }
        let endpoint = env.get(ENDPOINT).unwrap_or(DEFAULT_ENDPOINT).trim_end_matches('/').to_string();
        if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            return Err(Unavailable::broken(format!("{ENDPOINT} is {endpoint}, but it must be an http URL")));
        }
        let url = format!("{endpoint}/latest/api/token");
        let headers = [("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_TTL_SECONDS)];
        let answer = metadata::request("PUT", &url, &headers, PATIENCE).map_err(|e| {
            // The token may travel one hop only unless the instance allows more, and into a container there are two.
            let hint = match &e {
                ureq::Error::Timeout(_) => " (in a container the instance's metadata hop limit must be 2)",
                _ => "",
            };
            let text = format!("no instance metadata from PUT {url}: {e}{hint}");
            Unavailable::Absent(Error::caused_by(ErrorKind::of_ureq(&e), text, e))
        })?;
        let token = answer.text.trim().to_string();
        if answer.status != 200 || token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Unavailable::absent(format!("no instance metadata (PUT {url}: {})", answer.status)));
        }
        Ok(Session { endpoint, token })
    }

    /// The text at the path, or `None` for a 404.
    pub fn get(&self, path: &str) -> Result<Option<String>, Error> {
        let url = format!("{}{path}", self.endpoint);
        let answer = metadata::request("GET", &url, &[("x-aws-ec2-metadata-token", &self.token)], PATIENCE)
            .map_err(|e| Error::of_ureq(e).about(format!("GET {url}")))?;
        match answer.status {
            200 => Ok(Some(answer.text)),
            404 => Ok(None),
            status => Err(Error::new(ErrorKind::Other, format!("GET {url}: {status}"))),
        }
    }

    fn require(&self, path: &str) -> Result<String, Error> {
        let missing = || {
            let text = format!("the instance metadata has no {path}: has the instance a role?");
            Error::new(ErrorKind::Refused, text)
        };
        self.get(path)?.ok_or_else(missing)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use samples::loopback::{Loopback, ok};

    use super::*;

    const CREDENTIALS: &str = r#"{"Code":"Success","AccessKeyId":"ASIA","SecretAccessKey":"hush","Token":"tok",
        "Expiration":"2030-01-01T00:00:00Z"}"#;

    fn status(code: u16) -> String {
        format!("HTTP/1.1 {code} X\r\nContent-Length: 0\r\n\r\n")
    }

    fn env(server: &Loopback) -> Env {
        [(ENDPOINT, server.url())].into_iter().collect()
    }

    #[test]
    fn token_role_credentials() {
        let server = Loopback::answering(vec![ok("TOKEN=="), ok("web-role\n"), ok(CREDENTIALS)]);
        assert_eq!(credentials(&env(&server)).unwrap().access_key_id, "ASIA");
        let requests = server.requests();
        assert!(requests[0].starts_with("PUT /latest/api/token HTTP/1.1\r\n"));
        assert!(requests[0].contains("x-aws-ec2-metadata-token-ttl-seconds: 60\r\n"));
        assert!(requests[0].contains("content-length: 0\r\n"), "{}", requests[0]);
        assert!(requests[1].starts_with("GET /latest/meta-data/iam/security-credentials/ HTTP/1.1\r\n"));
        assert!(
            requests[2].starts_with("GET /latest/meta-data/iam/security-credentials/web-role HTTP/1.1\r\n")
        );
        assert!(
            requests[1..].iter().all(|request| request.contains("x-aws-ec2-metadata-token: TOKEN==\r\n"))
        );
    }

    #[test]
    fn the_region() {
        let server = Loopback::answering(vec![ok("TOKEN"), ok("eu-north-1")]);
        assert_eq!(region(&env(&server)).unwrap(), "eu-north-1");
    }

    #[test]
    fn a_blip_is_borne() {
        let answers = vec![status(503), ok("TOKEN"), ok("role"), String::new(), ok(CREDENTIALS)];
        let server = Loopback::answering(answers);
        assert!(credentials(&env(&server)).is_ok());
    }

    #[test]
    fn what_is_not_there_is_absent_and_what_fails_is_broken() {
        let absent = |answers| {
            let server = Loopback::answering(answers);
            matches!(credentials(&env(&server)), Err(Unavailable::Absent(_)))
        };
        assert!(absent(vec![status(403)]));
        // Nobody at the address is nothing that a hop limit could mend.
        let nobody = [(ENDPOINT, "http://127.0.0.1:1")].into_iter().collect();
        assert!(
            matches!(credentials(&nobody), Err(Unavailable::Absent(reason)) if !reason.to_string().contains("hop limit"))
        );
        assert!(absent(vec![ok("")]));
        assert!(absent(vec![ok("TOKEN"), status(404)]));
        assert!(absent(vec![ok("TOKEN"), ok("../../evil")]));
        let server = Loopback::answering(vec![ok("TOKEN"), ok("role"), ok(r#"{"Code":"Failed"}"#)]);
        assert!(matches!(credentials(&env(&server)), Err(Unavailable::Broken(_))));
        let off = [(DISABLED, "True")].into_iter().collect();
        assert!(
            matches!(credentials(&off), Err(Unavailable::Absent(reason)) if reason.to_string().contains(DISABLED))
        );
    }

    #[test]
    fn silence_does_not_take_long() {
        let server = Loopback::silent();
        let start = Instant::now();
        let Err(Unavailable::Absent(reason)) = credentials(&env(&server)) else { panic!("silence") };
        assert!(reason.to_string().contains("hop limit must be 2"), "{reason}");
        let longest = PATIENCE.timeout * (PATIENCE.attempts + 1);
        assert!(start.elapsed() < longest, "{:?}", start.elapsed());
    }
}
