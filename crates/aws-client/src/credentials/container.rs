//! Credentials of the role of an ECS task or an EKS pod.
//!
//! The agent on the host names the address in an environment variable. AWS SDKs and Tools Reference Guide, "Container
//! credential provider".

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use ureq::http::Uri;

use crate::credentials::{Credentials, Unavailable};
use crate::env::{self, Env};
use crate::error::{Error, ErrorKind};
use crate::metadata::{self, Patience};

const RELATIVE_URI: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL_URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

/// Longer than for the instance metadata: a variable says that the agent is there, and it may have to fetch the keys itself.
const PATIENCE: Patience = Patience { timeout: Duration::from_secs(2), attempts: 3 };

/// What a relative URI is relative to: the ECS agent.
const ECS_HOST: &str = "http://169.254.170.2";

/// The addresses of the ECS agent and of the EKS Pod Identity agent, which plain HTTP may go to besides loopback.
const AGENT_ADDRESSES: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];

/// The credentials, if one of the two URI variables is set.
pub(crate) fn credentials(env: &Env) -> Result<Credentials, Unavailable> {
    let Some(url) = url(env).transpose() else {
        return Err(Unavailable::absent(format!("neither {RELATIVE_URI} nor {FULL_URI} is set")));
    };
    url.and_then(|url| fetch(env, &url)).map_err(Unavailable::Broken)
}

fn fetch(env: &Env, url: &str) -> Result<Credentials, Error> {
    let token = authorization_token(env)?;
    let headers: Vec<_> = token.iter().map(|token| ("authorization", token.as_str())).collect();
    let answer = metadata::request("GET", url, &headers, PATIENCE)
        .map_err(|e| Error::of_ureq(e).about(format!("GET {url}")))?;
    if answer.status != 200 {
        return Err(Error::new(ErrorKind::Refused, format!("GET {url}: {}", answer.status)));
    }
    metadata::credentials_from_json(&answer.text).map_err(|e| e.about(format!("GET {url}")))
}

fn url(env: &Env) -> Result<Option<String>, Error> {
    if let Some(path) = env.get(RELATIVE_URI) {
        if !path.starts_with('/') {
            let text = format!("{RELATIVE_URI} is {path}, but it must begin with /");
            return Err(Error::new(ErrorKind::Refused, text));
        }
        return Ok(Some(format!("{ECS_HOST}{path}")));
    }
    let Some(url) = env.get(FULL_URI) else { return Ok(None) };
    if !may_be_asked(url) {
        let text = format!(
            "{FULL_URI} is {}, but it must be https, or http to loopback or to one of {}",
            env::shown(url),
            AGENT_ADDRESSES.join(", ")
        );
        return Err(Error::new(ErrorKind::Refused, text));
    }
    Ok(Some(url.to_string()))
}

/// The token is sent along, so it must not go in the clear to anywhere but the host itself.
fn may_be_asked(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return false;
    }
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    match uri.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => {
            let address = host.parse::<IpAddr>();
            host == "localhost" || AGENT_ADDRESSES.contains(&host) || address.is_ok_and(|ip| ip.is_loopback())
        }
        _ => false,
    }
}

/// The file is read every time: the agent replaces it.
fn authorization_token(env: &Env) -> Result<Option<String>, Error> {
    let token = match env.get(TOKEN_FILE) {
        Some(path) => {
            let token =
                fs::read_to_string(path).map_err(|e| Error::of_io(format!("{TOKEN_FILE} is {path}"), e))?;
            Some(token.trim().to_string())
        }
        None => env.get(TOKEN).map(str::to_string),
    };
    match token {
        Some(token) if !token.bytes().all(|b| (b' '..=b'~').contains(&b)) => {
            let text =
                format!("the token of {TOKEN_FILE} or {TOKEN} has characters that no header can carry");
            Err(Error::new(ErrorKind::Refused, text))
        }
        token => Ok(token),
    }
}

#[cfg(test)]
mod tests {
    use samples::loopback::{Loopback, ok};

    use super::*;

    const CREDENTIALS: &str = r#"{"RoleArn":"r","AccessKeyId":"ASIA","SecretAccessKey":"hush","Token":"tok",
        "Expiration":"2030-01-01T00:00:00Z"}"#;

    fn env(pairs: &[(&str, &str)]) -> Env {
        pairs.iter().copied().collect()
    }

    #[test]
    fn where_plain_http_may_go() {
        for good in [
            "https://example.com/creds",
            "http://127.0.0.1:1234/creds",
            "http://127.9.9.9/",
            "http://localhost:1/",
            "http://[::1]:1234/creds",
            "http://169.254.170.2/x",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
        ] {
            assert!(may_be_asked(good), "{good}");
        }
        for bad in [
            "",
            "/relative",
            "http://example.com/",
            "http://169.254.169.254/",
            "http://10.0.0.1/",
            "http://localhost.example.com/",
            "http://127.0.0.1@example.com/",
            "file:///etc/passwd",
        ] {
            assert!(!may_be_asked(bad), "{bad}");
        }
        let error = credentials(&env(&[(FULL_URI, "http://example.com/")])).unwrap_err();
        assert!(matches!(error, Unavailable::Broken(reason) if reason.to_string().contains(FULL_URI)));
        assert_eq!(
            url(&env(&[(RELATIVE_URI, "/v2/x")])).unwrap().as_deref(),
            Some("http://169.254.170.2/v2/x")
        );
        assert!(url(&env(&[(RELATIVE_URI, "v2")])).is_err());
        assert!(matches!(credentials(&Env::default()), Err(Unavailable::Absent(_))));
    }

    #[test]
    fn fetched_with_the_token() {
        let server = Loopback::answering(vec![ok(CREDENTIALS), ok(CREDENTIALS)]);
        let url = format!("{}/creds", server.url());
        let found = credentials(&env(&[(FULL_URI, &url), (TOKEN, "Basic abc")])).unwrap();
        assert_eq!(found.access_key_id, "ASIA");
        let path = std::env::temp_dir().join(format!("image-sharer-token-{}", std::process::id()));
        fs::write(&path, "from-file\n").unwrap();
        credentials(&env(&[(FULL_URI, &url), (TOKEN, "no"), (TOKEN_FILE, path.to_str().unwrap())])).unwrap();
        fs::write(&path, "two\r\nlines").unwrap();
        let error = credentials(&env(&[(FULL_URI, &url), (TOKEN_FILE, path.to_str().unwrap())])).unwrap_err();
        fs::remove_file(&path).unwrap();
        assert!(matches!(error, Unavailable::Broken(reason) if reason.to_string().contains(TOKEN_FILE)));
        let requests = server.requests();
        assert!(requests[0].starts_with("GET /creds HTTP/1.1\r\n"), "{requests:?}");
        assert!(requests[0].contains("\r\nauthorization: Basic abc\r\n"), "{requests:?}");
        assert!(requests[1].contains("\r\nauthorization: from-file\r\n"), "{requests:?}");
    }

    #[test]
    fn an_agent_that_fails_twice_is_asked_a_third_time() {
        let server = Loopback::answering(vec![String::new(), String::new(), ok(CREDENTIALS)]);
        let url = format!("{}/creds", server.url());
        assert!(credentials(&env(&[(FULL_URI, &url)])).is_ok());
    }

    #[test]
    fn an_agent_that_refuses_is_an_error() {
        let server =
            Loopback::answering(vec!["HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_string()]);
        let url = format!("{}/creds", server.url());
        let error = credentials(&env(&[(FULL_URI, &url)])).unwrap_err();
        assert!(
            matches!(error, Unavailable::Broken(reason) if reason.to_string() == format!("GET {url}: 403"))
        );
    }
}
