//! AWS Signature Version 4, as the two services want it.
//!
//! The arithmetic is `aws-sigv4`'s. This file only knows how S3 differs from all other services: its paths are signed
//! as they are sent, encoded once and not tidied, and the hash of the body is sent in a header. Pure: the time is an
//! argument, so that published examples can be checked.
//!
//! The signer logs what it signs at trace level through `tracing`, so a program with this client may install no subscriber.

use std::time::SystemTime;

use aws_credential_types::Credentials as Identity;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign as sign_http,
};
use aws_sigv4::sign::v4::SigningParams;

use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind};

/// The service name in the credential scope of S3, the only service with other rules for signing.
pub const S3: &str = "s3";

/// The service name in the credential scope of SQS.
pub const SQS: &str = "sqs";

/// The request to sign. All given headers are signed, and `host` too, so give only headers that arrive as they were sent.
pub struct Signable<'a> {
    pub method: &'a str,
    /// Absolute, with path and query percent-encoded as they are sent.
    pub url: &'a str,
    /// Their names in lower case.
    pub headers: &'a [(&'static str, String)],
    /// All of it; S3 and SQS both sign its SHA-256.
    pub body: &'a [u8],
}

/// The headers to add: `authorization`, `x-amz-date`, with temporary credentials `x-amz-security-token`, and for S3
/// `x-amz-content-sha256`. Fails only on a URL or a header that is no such thing.
///
/// Signature Version 4 is described in the IAM User Guide, "AWS Signature Version 4 for API requests", and what S3 changes in
/// it in the S3 API Reference, "Authenticating Requests: Using the Authorization Header".
pub fn sign(
    request: &Signable,
    service: &str,
    region: &str,
    credentials: &Credentials,
    now: SystemTime,
) -> Result<Vec<(String, String)>, Error> {
    // A relative URL makes the signer panic.
    if !request.url.starts_with("http://") && !request.url.starts_with("https://") {
        let text = format!("cannot sign {}: not an http or https URL", request.url);
        return Err(Error::new(ErrorKind::Other, text));
    }
    let identity = Identity::new(
        &credentials.access_key_id,
        &credentials.secret_access_key,
        credentials.session_token.clone(),
        None,
        "aws_client",
    )
    .into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(now)
        .settings(settings(service))
        .build()
        .map_err(|e| Error::caused_by(ErrorKind::Other, format!("cannot sign {}: {e}", request.url), e))?
        .into();
    let headers = request.headers.iter().map(|(name, value)| (*name, value.as_str()));
    let body = SignableBody::Bytes(request.body);
    let signed = SignableRequest::new(request.method, request.url, headers, body)
        .and_then(|signable| sign_http(signable, &params))
        .map_err(|e| Error::caused_by(ErrorKind::Other, format!("cannot sign {}: {e}", request.url), e))?;
    let (instructions, _signature) = signed.into_parts();
    Ok(instructions.headers().map(|(name, value)| (name.to_string(), value.to_string())).collect())
}

fn settings(service: &str) -> SigningSettings {
    let mut settings = SigningSettings::default();
    if service == S3 {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dates::from_rfc3339;

    fn signature(
        request: &Signable,
        scope: (&str, &str),
        credentials: &Credentials,
        now: &str,
    ) -> (String, Vec<String>) {
        let headers =
            sign(request, scope.0, scope.1, credentials, from_rfc3339(now).unwrap()).expect("signed");
        let authorization = &headers.iter().find(|(name, _)| name == "authorization").unwrap().1;
        let (_, signature) = authorization.rsplit_once("Signature=").unwrap();
        let mut names: Vec<String> = headers.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        (signature.to_string(), names)
    }

    /// S3 API Reference, "Authenticating Requests: Using the Authorization Header", "Examples: Signature Calculations".
    #[test]
    fn the_published_s3_examples() {
        let credentials =
            Credentials::of_key("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        type Example =
            (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static str, &'static str);
        let examples: [Example; 4] = [
            (
                "GET",
                "/test.txt",
                &[("range", "bytes=0-9")],
                "",
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                "PUT",
                "/test%24file.text",
                &[("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
                "Welcome to Amazon S3.",
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            ),
            (
                "GET",
                "/?lifecycle",
                &[],
                "",
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                "GET",
                "/?max-keys=2&prefix=J",
                &[],
                "",
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ];
        for (method, path, headers, body, expected) in examples {
            let url = format!("https://examplebucket.s3.amazonaws.com{path}");
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.to_string())).collect();
            let request = Signable { method, url: &url, headers: &headers, body: body.as_bytes() };
            let (found, names) = signature(&request, (S3, "us-east-1"), &credentials, "2013-05-24T00:00:00Z");
            assert_eq!(found, expected, "{method} {path}");
            assert_eq!(names, ["authorization", "x-amz-content-sha256", "x-amz-date"]);
        }
    }

    /// Made with botocore 1.43.106, `S3SigV4Auth` with a signed payload and `SigV4Auth`, its clock held at 06:34:10 on
    /// 24 November 2026.
    #[test]
    fn what_botocore_signs() {
        const TOKEN: &str = "FwoGZXIvYXdzE//token+with/slashes==";
        let put_headers = [
            ("content-type", "image/jpeg".to_string()),
            ("cache-control", "public, max-age=31536000, immutable".to_string()),
            ("if-none-match", "*".to_string()),
        ];
        let put = Signable {
            method: "PUT",
            url: "https://my-images.s3.eu-central-1.amazonaws.com/0123456789abcdef0123456789abcdef/original.jpg",
            headers: &put_headers,
            body: b"\xff\xd8\xff\xe0",
        };
        let get = Signable {
            method: "GET",
            url: "http://127.0.0.1:4566/my.images/sp%20ace/%C3%A9+x.jpg?list-type=2&max-keys=1",
            headers: &[],
            body: b"",
        };
        let send_headers = [
            ("content-type", "application/x-amz-json-1.0".to_string()),
            ("x-amz-target", "AmazonSQS.SendMessage".to_string()),
        ];
        let send = Signable {
            method: "POST",
            url: "https://sqs.eu-central-1.amazonaws.com/",
            headers: &send_headers,
            body: br#"{"QueueUrl":"q","MessageBody":"b"}"#,
        };
        let (s3_frankfurt, s3_virginia, sqs) =
            ((S3, "eu-central-1"), (S3, "us-east-1"), (SQS, "eu-central-1"));
        for (request, scope, token, expected) in [
            (&put, s3_frankfurt, None, "7bf01f88c2d46fec00343b414315d2738103efd50d3ad51a4ad1e0273ebeac47"),
            (
                &put,
                s3_frankfurt,
                Some(TOKEN),
                "e67523fbcb9da1473ebf917060fe1c43e42bee4d428d8f11313dc82d5d2d3dc7",
            ),
            (&get, s3_virginia, None, "ae940a843c390aaf321d62671b2fadb5d9fffc36069ecb3b916617d187d48d0c"),
            (
                &get,
                s3_virginia,
                Some(TOKEN),
                "6a51354ed33f640790a2b8c3529a31358624535c1b6ea843e6c93ddfbc197ca4",
            ),
            (&send, sqs, None, "10ed32faa3fd7cfba6694c70fa6223654fdfa616f973d95a0d469838e86ba638"),
            (&send, sqs, Some(TOKEN), "e2b576ce6d715654202b87e38acca9fa7c44c7d67e984552cb0ca00a3e930746"),
        ] {
            let mut credentials =
                Credentials::of_key("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
            credentials.session_token = token.map(str::to_string);
            let (found, names) = signature(request, scope, &credentials, "2026-11-24T06:34:10Z");
            assert_eq!(found, expected, "{} {}", request.url, token.is_some());
            assert_eq!(names.contains(&"x-amz-security-token".to_string()), token.is_some());
        }
    }

    #[test]
    fn what_cannot_be_signed_is_an_error() {
        let credentials = Credentials::of_key("AKIDEXAMPLE", "secret");
        for url in ["", "/relative", "https://", "https://host/with space", "ftp://host/", "http://[/"] {
            let request = Signable { method: "GET", url, headers: &[], body: b"" };
            let result = sign(&request, S3, "us-east-1", &credentials, SystemTime::UNIX_EPOCH);
            assert!(result.is_err(), "{url:?}");
        }
    }
}
