//! What is read from AWS's errors, and what is shown of them.

use proptest::prelude::*;

use super::*;
use crate::error::{AttemptError, AwsError, Error};

#[test]
fn an_s3_error() {
    let body = br#"<?xml version="1.0" encoding="UTF-8"?>
        <Error><Code>NoSuchKey</Code><Message>The &lt;key&gt; &quot;a&amp;b&quot;&#x27;s&#33; gone</Message>
        <Key>x</Key><RequestId>656c76696e6727732072657175657374</RequestId></Error>"#;
    let answer = from_xml(404, body);
    assert_eq!(answer.code, "NoSuchKey");
    assert_eq!(answer.message, r#"The <key> "a&b"'s! gone"#);
    assert_eq!(answer.request_id, "656c76696e6727732072657175657374");
}

#[test]
fn an_sqs_error() {
    let answer =
        from_json(400, br#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"No such queue"}"#);
    assert_eq!((answer.code.as_str(), answer.message.as_str()), ("QueueDoesNotExist", "No such queue"));
    let answer = from_json(400, br#"{"__type":"InvalidSignatureException","Message":"Signature expired"}"#);
    assert_eq!(
        (answer.code.as_str(), answer.message.as_str()),
        ("InvalidSignatureException", "Signature expired")
    );
}

#[test]
fn entities_that_are_none_stay() {
    for text in ["&", "&;", "a & b", "&nbsp;", "&#xD800;", "&#99999999999;", "&#;", "&é;", "& & ;"] {
        assert_eq!(decode_entities(text), text);
    }
    assert_eq!(decode_entities("&amp;lt;"), "&lt;");
}

#[test]
fn an_error_says_all_and_what_to_do() {
    let answer = ErrorAnswer {
        status: 403,
        code: "SignatureDoesNotMatch".to_string(),
        message: "It does not match.".to_string(),
        request_id: "R1".to_string(),
        ..ErrorAnswer::default()
    };
    let mut error = AwsError {
        operation: "S3 ListObjectsV2",
        target: "images".to_string(),
        last: AttemptError::Answered(Box::new(answer)),
        attempts: 1,
    };
    assert_eq!(
        error.to_string(),
        "S3 ListObjectsV2 images: 403 SignatureDoesNotMatch: It does not match, request id R1. \
         Check AWS_SECRET_ACCESS_KEY: it does not belong to the access key id"
    );
    assert_eq!(error.kind(), ErrorKind::Refused);
    error.last = AttemptError::Lost(Error::new(ErrorKind::Unreachable, "connection reset"));
    error.attempts = 4;
    assert_eq!(error.to_string(), "S3 ListObjectsV2 images: no answer: connection reset (4 attempts)");
}

#[test]
fn a_quoted_request_is_left_out() {
    const SAYS: &str = "The request signature we calculated does not match the signature you provided.";
    let quoted =
        "The Canonical String for this request should have been\n'POST\n/\n\nx-amz-security-token:HUSH";
    for blank_line in ["\n\n", "\r\n\r\n", "\n \n"] {
        let message = format!("\n{SAYS}{blank_line}{quoted}");
        let body = serde_json::json!({ "__type": "InvalidSignatureException", "message": message });
        assert_eq!(from_json(403, body.to_string().as_bytes()).message, SAYS);
        let body = format!("<Code>SignatureDoesNotMatch</Code><Message>{message}</Message>");
        assert_eq!(from_xml(403, body.as_bytes()).message, SAYS);
    }
}

#[test]
fn a_quoted_authorization_is_left_out() {
    let message = "Authorization header requires 'Signature'. Authorization=AWS4-HMAC-SHA256 Credential=AKID, Signature=HUSH";
    let body = serde_json::json!({ "__type": "IncompleteSignatureException", "message": message });
    let answer = from_json(403, body.to_string().as_bytes());
    assert_eq!(answer.message, "Authorization header requires 'Signature'. Authorization=");
}

#[test]
fn a_wrong_region_is_not_taken_for_a_wrong_secret() {
    let answer = ErrorAnswer {
        status: 403,
        code: "InvalidSignatureException".to_string(),
        message: "Credential should be scoped to a valid region, not 'eu-west-1'. ".to_string(),
        ..ErrorAnswer::default()
    };
    let text = answer.to_string();
    assert!(text.contains("AWS_REGION") && !text.contains("AWS_SECRET_ACCESS_KEY"), "{text}");
}

#[test]
fn a_page_from_something_else_is_cut_to_one_line() {
    let page = format!("<Code>X\r\n\u{1b}[2J</Code><Message>{}</Message>", "long ".repeat(10_000));
    let answer = from_xml(502, page.as_bytes());
    assert_eq!(answer.code, "X  [2J");
    assert_eq!(answer.message.chars().count(), MAX_MESSAGE_CHARS);
}

#[test]
fn kinds_of_answers() {
    for (status, code, kind) in [
        (503, "SlowDown", ErrorKind::Throttled),
        (400, "ThrottlingException", ErrorKind::Throttled),
        (429, "", ErrorKind::Throttled),
        (403, "AccessDenied", ErrorKind::Refused),
        (301, "PermanentRedirect", ErrorKind::Refused),
        (400, "RequestTimeout", ErrorKind::TimedOut),
        (503, "ServiceUnavailable", ErrorKind::Unreachable),
        (500, "InternalError", ErrorKind::Unreachable),
    ] {
        let answer = ErrorAnswer { status, code: code.to_string(), ..ErrorAnswer::default() };
        assert_eq!(answer.kind(), kind, "{status} {code}");
    }
}

proptest! {
    #[test]
    fn hostile_bodies_do_no_harm(body in prop::collection::vec(any::<u8>(), 0..300), text in "[&#x;<>/Codeé0-9]{0,80}") {
        for bytes in [&body[..], text.as_bytes(), format!("<Code>{text}</Code>").as_bytes()] {
            from_xml(500, bytes);
            from_json(500, bytes);
        }
    }
}
