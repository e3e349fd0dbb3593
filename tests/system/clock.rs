//! A service whose clock differs from ours. It accepts what is signed within 15 minutes of its own time, as S3 and SQS do, and
//! checks the signature. It then signs the request again, with our time, for the engine behind it.

use std::time::{Duration, SystemTime};

use aws_client::sign::{self, Signable};
use image_sharer::support::dates;

use crate::engine::{REGION, user_with};
use crate::relay::answer;
use crate::request::{Operation, Request};

/// How far from the service's time a request may be signed.
const TOLERANCE: Duration = Duration::from_secs(15 * 60);

/// The headers that a signature adds.
const OF_SIGNATURE: [&str; 3] = ["authorization", "x-amz-date", "x-amz-content-sha256"];

/// The request as the engine takes it, or the refusal of a service whose clock is so many seconds ahead of ours.
pub(crate) fn pass_on(request: &Request, seconds_ahead: i64) -> Result<Request, Vec<u8>> {
    let distance = Duration::from_secs(seconds_ahead.unsigned_abs());
    let now = if seconds_ahead < 0 { SystemTime::now() - distance } else { SystemTime::now() + distance };
    let stamp = request.header("x-amz-date").expect("a signed request");
    let signed_at = time_of(stamp);
    let distance = now.duration_since(signed_at).unwrap_or_else(|later| later.duration());
    if distance > TOLERANCE {
        return Err(too_skewed(request, stamp, signed_at, now));
    }
    let authorization = |headers: &[(String, String)]| {
        headers.iter().find(|(name, _)| name == "authorization").map(|(_, value)| value.clone())
    };
    let expected = authorization(&signature(request, signed_at));
    assert_eq!(request.header("authorization"), expected.as_deref(), "it is signed by the service's clock");
    let mut head: String = request
        .head
        .trim_end()
        .split_inclusive("\r\n")
        .filter(|line| {
            !line.split(':').next().is_some_and(|name| OF_SIGNATURE.contains(&&*name.to_lowercase()))
        })
        .collect();
    head = head.trim_end().to_owned();
    for (name, value) in signature(request, SystemTime::now()) {
        head.push_str(&format!("\r\n{name}: {value}"));
    }
    Ok(Request { head: head + "\r\n\r\n", body: request.body.clone(), operation: request.operation })
}

fn signature(request: &Request, now: SystemTime) -> Vec<(String, String)> {
    let host = request.header("host").expect("a host");
    let url = format!("http://{host}{}", request.target());
    let authorization = request.header("authorization").expect("a signed request");
    let names = authorization.split("SignedHeaders=").nth(1).and_then(|rest| rest.split(',').next());
    let headers: Vec<(&'static str, String)> =
        ["cache-control", "content-type", "if-none-match", "x-amz-meta-upload", "x-amz-target"]
            .into_iter()
            .filter(|name| names.is_some_and(|names| names.split(';').any(|signed| signed == *name)))
            .map(|name| (name, request.header(name).unwrap_or_default().to_owned()))
            .collect();
    let signable = Signable { method: request.method(), url: &url, headers: &headers, body: &request.body };
    let service = if request.operation.is_of_queue() { sign::SQS } else { sign::S3 };
    let key = authorization.split("Credential=").nth(1).and_then(|rest| rest.split('/').next());
    let user = key.and_then(user_with).expect("the key of a user");
    sign::sign(&signable, service, REGION, &user, now).expect("it has been signed before")
}

/// Reads a time such as `20261124T083000Z`.
fn time_of(stamp: &str) -> SystemTime {
    let part = |from: usize, to: usize| &stamp[from..to];
    let (date, time) = ([part(0, 4), part(4, 6), part(6, 8)], [part(9, 11), part(11, 13), part(13, 15)]);
    dates::from_rfc3339(&format!("{}T{}Z", date.join("-"), time.join(":"))).expect("a time")
}

fn too_skewed(request: &Request, stamp: &str, signed_at: SystemTime, now: SystemTime) -> Vec<u8> {
    let body = if request.operation.is_of_queue() {
        let message = if signed_at < now {
            format!("Signature expired: {stamp} is now earlier than the service's time less 15 min.")
        } else {
            format!("Signature not yet current: {stamp} is still later than the service's time and 15 min.")
        };
        format!(r#"{{"__type":"com.amazon.coral.service#InvalidSignatureException","message":"{message}"}}"#)
    } else {
        "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time is \
         too large.</Message></Error>"
            .to_owned()
    };
    assert_ne!(request.operation, Operation::Credentials, "no clock is asked for these");
    answer(request, 403, now, &body)
}
