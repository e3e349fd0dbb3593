//! The store on S3.
//!
//! S3 API Reference, "PutObject", "GetObject", "HeadObject", "DeleteObject" and "ListObjectsV2". The policy must allow
//! `s3:PutObject`, `s3:GetObject` and `s3:DeleteObject` on the bucket's objects, and `s3:ListBucket` on the bucket: without the
//! last S3 answers 403 for an object that is not there, and nobody can tell it from a wrong key.

mod listing;

use std::sync::Arc;
use std::time::Duration;

use aws_client::error::{AttemptError, AwsError};
use aws_client::{AwsCall, Client, Reply, endpoint, sign};

use crate::aws::Aws;
use crate::domain::failure::Failure;
use crate::domain::image_id::ImageId;
use crate::domain::key::Key;
use crate::domain::store::{CACHE_CONTROL, Listing, Store, StoreError};
use crate::support::log;

/// Carries a random number that is new for every `create`, by which it knows its own object again.
const UPLOAD_HEADER: &str = "x-amz-meta-upload";

/// How long a failed `create` tries to delete an object that it may have stored. Its caller has waited for 8 s already.
const TAKE_BACK_BUDGET: Duration = Duration::from_secs(2);

/// Names the bucket; see [`Config`](crate::support::config::Config).
const BUCKET_SETTING: &str = "IMAGES_BUCKET";

pub struct S3Store {
    client: Arc<Client>,
    bucket: String,
    /// The part of an object's URL before `/{key}`.
    base_url: String,
}

impl S3Store {
    /// The bucket of that name, which [`Config`](crate::support::config::Config) has checked. At AWS the name is part of the host
    /// (virtual-hosted style), the only way that every region supports. It is part of the path (path style) under
    /// `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, and if it has a dot, since no certificate matches such a host.
    pub fn new(aws: &Aws, bucket: &str) -> Result<S3Store, Failure> {
        let (region, domain) = (aws.region(), endpoint::domain(aws.region()));
        let base_url = match endpoint::configured(&aws.env, &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])? {
            Some(endpoint) => format!("{endpoint}/{bucket}"),
            None if bucket.contains('.') => format!("https://s3.{region}.{domain}/{bucket}"),
            None => format!("https://{bucket}.s3.{region}.{domain}"),
        };
        Ok(S3Store { client: aws.client.clone(), bucket: bucket.to_string(), base_url })
    }

    /// Lists one key. HEAD of the bucket needs the same permission, but its answer has no body that says what is wrong.
    pub fn check(&self) -> Result<(), StoreError> {
        let call = listing::make_call(&self.bucket, &self.base_url, "&max-keys=1");
        self.client.call(&call).map(drop).map_err(failed)
    }

    fn call<'a>(&self, operation: &'static str, method: &'static str, key: &Key) -> AwsCall<'a> {
        AwsCall {
            service: sign::S3,
            operation,
            target: format!("{}/{key}", self.bucket),
            target_setting: BUCKET_SETTING,
            method,
            url: format!("{}/{key}", self.base_url),
            ..AwsCall::default()
        }
    }

    fn put_call<'a>(&self, key: &Key, bytes: &'a [u8]) -> AwsCall<'a> {
        let headers = vec![
            ("content-type", key.format.content_type().to_string()),
            ("cache-control", CACHE_CONTROL.to_string()),
        ];
        AwsCall { headers, body: bytes, ..self.call("S3 PutObject", "PUT", key) }
    }

    /// The object's headers, or none if there is no object. An answer to HEAD has no body, so a bucket that is not there looks
    /// like an object that is not there; `check` tells them apart.
    fn head(&self, key: &Key) -> Result<Option<Reply>, StoreError> {
        let content_type = Some(key.format.content_type());
        match self.client.call(&AwsCall { content_type, ..self.call("S3 HeadObject", "HEAD", key) }) {
            Ok(reply) => Ok(Some(reply)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Deletes the object that a `create` may have stored although it failed. Nobody was told the id, so nobody can see an object
    /// that stays, and one attempt is enough. It cannot be another upload's object, because ids are random.
    fn take_back(&self, key: &Key) {
        let call = AwsCall { budget: TAKE_BACK_BUDGET, ..self.call("S3 DeleteObject", "DELETE", key) };
        if let Err(error) = self.client.call(&call) {
            log::warn("original_may_be_left_behind", &[("key", key), ("error", &error)]);
        }
    }
}

impl Store for S3Store {
    fn create(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError> {
        let upload = ImageId::random()
            .map_err(|e| StoreError::Failed(Failure::of_io(format!("{key}: no random numbers"), e)))?;
        let upload = upload.to_string();
        let mut call = self.put_call(key, bytes);
        call.headers.extend([("if-none-match", "*".to_string()), (UPLOAD_HEADER, upload.clone())]);
        match self.client.call(&call) {
            Ok(_) => Ok(()),
            Err(error) if error.status() == Some(412) => {
                // An earlier attempt may have stored the object although its answer was lost.
                let found = if error.attempts > 1 { self.head(key) } else { Ok(None) };
                let found = found.inspect_err(|_| self.take_back(key))?;
                let is_ours =
                    found.is_some_and(|reply| reply.headers.get(UPLOAD_HEADER).is_some_and(|u| *u == upload));
                if is_ours { Ok(()) } else { Err(StoreError::Exists(*key)) }
            }
            Err(error) => {
                if error.may_have_been_done() {
                    self.take_back(key);
                }
                Err(failed(error))
            }
        }
    }

    fn put(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError> {
        self.client.call(&self.put_call(key, bytes)).map(drop).map_err(failed)
    }

    fn get(&self, key: &Key, max_bytes: usize) -> Result<Vec<u8>, StoreError> {
        let content_type = Some(key.format.content_type());
        match self.client.call(&AwsCall { max_bytes, content_type, ..self.call("S3 GetObject", "GET", key) })
        {
            Ok(reply) => Ok(reply.body),
            Err(error) if code(&error) == "NoSuchKey" => Err(StoreError::NotFound(*key)),
            Err(AwsError { last: AttemptError::TooLarge { max_bytes }, .. }) => {
                Err(StoreError::TooLarge { key: *key, max_bytes })
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn exists(&self, key: &Key) -> Result<bool, StoreError> {
        Ok(self.head(key)?.is_some())
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        match self.client.call(&self.call("S3 DeleteObject", "DELETE", key)) {
            Err(error) if code(&error) != "NoSuchKey" => Err(failed(error)),
            _ => Ok(()),
        }
    }

    fn list(&self, after: Option<ImageId>, page: usize) -> Result<Listing, StoreError> {
        let (bucket, base_url) = (self.bucket.clone(), self.base_url.clone());
        Ok(Box::new(listing::Pages::new(self.client.clone(), bucket, base_url, after, page)))
    }
}

fn failed(error: AwsError) -> StoreError {
    StoreError::Failed(error.into())
}

fn code(error: &AwsError) -> &str {
    match &error.last {
        AttemptError::Answered(answer) => &answer.code,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use aws_client::env::Env;
    use samples::loopback::{Loopback, answer, ok};

    use super::*;
    use crate::domain::format::Format;

    fn store(variables: &[(&str, &str)], bucket: &str) -> Result<S3Store, Failure> {
        let keys = [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "hush")];
        let env: Env = keys.iter().chain(variables).copied().collect();
        S3Store::new(&Aws::new(env, "")?, bucket)
    }

    fn on(server: &Loopback) -> S3Store {
        store(&[("AWS_REGION", "eu-central-1"), ("AWS_ENDPOINT_URL", &server.url())], "images").unwrap()
    }

    fn key() -> Key {
        Key::original("0123456789abcdef0123456789abcdef".parse().unwrap(), Format::Png)
    }

    fn exists_already() -> String {
        answer("412 Precondition Failed", &[], "<Error><Code>PreconditionFailed</Code></Error>")
    }

    #[test]
    fn addresses() {
        let base = |region, bucket| store(&[("AWS_REGION", region)], bucket).unwrap().base_url;
        assert_eq!(base("eu-central-1", "images"), "https://images.s3.eu-central-1.amazonaws.com");
        assert_eq!(base("us-east-1", "my.images"), "https://s3.us-east-1.amazonaws.com/my.images");
        assert_eq!(base("cn-north-1", "images"), "https://images.s3.cn-north-1.amazonaws.com.cn");
        let custom = [("AWS_REGION", "garage"), ("AWS_ENDPOINT_URL_S3", "http://[::1]:3900/")];
        assert_eq!(store(&custom, "images").unwrap().base_url, "http://[::1]:3900/images");
    }

    #[test]
    fn what_a_create_sends() {
        let server = Loopback::answering(vec![ok("")]);
        on(&server).create(&key(), b"picture").unwrap();
        let request = &server.requests()[0];
        for part in [
            "PUT /images/0123456789abcdef0123456789abcdef/original.png HTTP/1.1\r\n",
            "\r\ncontent-type: image/png\r\n",
            "\r\ncache-control: public, max-age=31536000, immutable\r\n",
            "\r\nif-none-match: *\r\n",
            "\r\nuser-agent: my-little-image-sharer/",
            "\r\nx-amz-meta-upload: ",
            "SignedHeaders=cache-control;content-type;host;if-none-match;x-amz-content-sha256;x-amz-date;x-amz-meta-upload,",
        ] {
            assert!(request.contains(part), "{part} is not in {request}");
        }
    }

    #[test]
    fn an_object_of_somebody_else() {
        let server = Loopback::answering(vec![exists_already()]);
        assert!(matches!(on(&server).create(&key(), b"x"), Err(StoreError::Exists(_))));
        // The first attempt failed, and then there is an object, but not ours.
        let theirs = answer("200 OK", &[("x-amz-meta-upload", "theirs"), ("Content-Type", "image/png")], "");
        let server = Loopback::answering(vec![answer("503 X", &[], ""), exists_already(), theirs]);
        assert!(matches!(on(&server).create(&key(), b"x"), Err(StoreError::Exists(_))));
    }

    /// The engine stores the object, but the answer is lost; the retry then meets the object.
    #[test]
    fn a_create_whose_answer_was_lost_knows_its_object() {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let mut upload = String::new();
            for n in 0..3 {
                let (mut connection, _) = listener.accept().unwrap();
                let mut request = vec![0; 8192];
                let length = connection.read(&mut request).unwrap();
                let text = String::from_utf8_lossy(&request[..length]).into_owned();
                let reply = match n {
                    0 => {
                        let (_, rest) = text.split_once("x-amz-meta-upload: ").unwrap();
                        upload = rest.lines().next().unwrap().to_string();
                        String::new()
                    }
                    1 => exists_already(),
                    _ => {
                        answer("200 OK", &[("x-amz-meta-upload", &upload), ("Content-Type", "image/png")], "")
                    }
                };
                connection.write_all(reply.as_bytes()).unwrap();
            }
        });
        let store = store(&[("AWS_REGION", "eu-central-1"), ("AWS_ENDPOINT_URL", &url)], "images").unwrap();
        store.create(&key(), b"x").unwrap();
        server.join().unwrap();
    }

    #[test]
    fn what_a_failed_create_may_have_stored_is_taken_back() {
        const MAX_ATTEMPTS: usize = aws_client::MAX_ATTEMPTS as usize;
        for failure in [String::new(), answer("503 X", &[], "")] {
            let failures = (0..MAX_ATTEMPTS).map(|_| failure.clone());
            let server = Loopback::answering(failures.chain([answer("204 X", &[], "")]).collect());
            assert!(matches!(on(&server).create(&key(), b"x"), Err(StoreError::Failed(_))));
            let requests = server.requests();
            assert_eq!(requests.len(), MAX_ATTEMPTS + 1);
            assert!(
                requests[MAX_ATTEMPTS].starts_with(&format!("DELETE /images/{} ", key())),
                "{requests:?}"
            );
        }
        let server = Loopback::answering(vec![answer("403 X", &[], ""), ok("")]);
        assert!(on(&server).create(&key(), b"x").is_err());
        assert_eq!(server.requests().len(), 1, "nothing to take back after a refusal");
        // It may be the first attempt that stored it.
        for last in [vec![answer("403 X", &[], "")], vec![exists_already(), answer("403 X", &[], "")]] {
            let attempts = [vec![String::new()], last, vec![answer("204 X", &[], "")]].concat();
            let server = Loopback::answering(attempts);
            assert!(matches!(on(&server).create(&key(), b"x"), Err(StoreError::Failed(_))));
            assert!(server.requests().last().unwrap().starts_with("DELETE "), "{:?}", server.requests());
        }
    }

    #[test]
    fn taking_back_is_bounded_in_time() {
        let start = std::time::Instant::now();
        on(&Loopback::silent()).take_back(&key());
        assert!(start.elapsed() < TAKE_BACK_BUDGET + Duration::from_secs(1), "{:?}", start.elapsed());
    }

    #[test]
    fn a_web_page_is_no_object() {
        let page = answer("200 OK", &[("Content-Type", "text/html")], "<html>Log in</html>");
        let object = answer("200 OK", &[("Content-Type", "image/png")], "picture");
        let server = Loopback::answering(vec![page.clone(), object.clone(), page, object]);
        assert_eq!(on(&server).get(&key(), 100).unwrap(), b"picture");
        assert!(on(&server).exists(&key()).unwrap());
        assert_eq!(server.requests().len(), 4);
    }

    #[test]
    fn a_missing_bucket_is_not_a_missing_object() {
        let no_bucket = || answer("404 Not Found", &[], "<Error><Code>NoSuchBucket</Code></Error>");
        let server = Loopback::answering(vec![no_bucket(), no_bucket()]);
        let error = on(&server).get(&key(), 10).unwrap_err();
        assert!(
            matches!(&error, StoreError::Failed(failure) if failure.to_string().contains("IMAGES_BUCKET")),
            "{error}"
        );
        assert!(on(&server).delete(&key()).is_err());
    }

    #[test]
    fn a_bucket_in_another_region() {
        let moved = answer(
            "301 Moved Permanently",
            &[("x-amz-bucket-region", "us-west-2"), ("Location", "http://127.0.0.1:1/")],
            "<Error><Code>PermanentRedirect</Code><Message>Use the specified endpoint.</Message></Error>",
        );
        let server = Loopback::answering(vec![moved]);
        let error = on(&server).check().unwrap_err().to_string();
        assert!(error.contains("AWS_REGION") && error.contains("us-west-2"), "{error}");
    }
}
