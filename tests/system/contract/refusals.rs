//! What an operator sees when a setting is wrong. The error names what to change.

use super::*;

fn errors(changes: &[(&str, &str)], bucket: &str, queue_url: &str) -> [String; 2] {
    let aws = Aws::new(engine().env_with(changes), queue_url).unwrap();
    let store = S3Store::new(&aws, bucket).unwrap().check().unwrap_err();
    let queue = SqsQueue::new(&aws, queue_url).unwrap().depth().unwrap_err();
    [store.to_string(), queue.to_string()]
}

#[test]
fn a_wrong_secret() {
    let (bucket, urls) = (engine().new_bucket(), engine().new_queue());
    for error in errors(&[("AWS_SECRET_ACCESS_KEY", "wrong")], &bucket, &urls.jobs) {
        let code = error.contains("SignatureDoesNotMatch") || error.contains("InvalidSignatureException");
        assert!(code && error.contains("403") && error.contains("AWS_SECRET_ACCESS_KEY"), "{error}");
        assert!(!error.contains("wrong"), "{error}");
    }
}

#[test]
fn an_unknown_key() {
    let (bucket, urls) = (engine().new_bucket(), engine().new_queue());
    for error in errors(&[("AWS_ACCESS_KEY_ID", "AKIANOBODY")], &bucket, &urls.jobs) {
        assert!(error.contains("AWS_ACCESS_KEY_ID"), "{error}");
    }
}

#[test]
fn no_such_bucket_and_no_such_queue() {
    let urls = engine().new_queue();
    let [store, queue] = errors(&[], "nobodys-bucket", &format!("{}-nobodys", urls.jobs));
    assert!(store.contains("NoSuchBucket") && store.contains("IMAGES_BUCKET"), "{store}");
    assert!(queue.contains("QueueDoesNotExist") && queue.contains("JOBS_QUEUE_URL"), "{queue}");
}

#[test]
fn nobody_there() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = format!("http://127.0.0.1:{port}");
    let urls = engine().new_queue();
    for error in errors(&[("AWS_ENDPOINT_URL", &endpoint)], "images", &urls.jobs) {
        assert!(
            error.contains("no answer") && error.contains("refused") && error.contains("attempts"),
            "{error}"
        );
    }
}
