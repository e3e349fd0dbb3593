//! What goes wrong between here and AWS, done to the client by a scripted server.

use samples::loopback::{Loopback, answer, ok};

use super::*;

fn client() -> Client {
    let fetch = || Ok(Credentials::of_key("AKIDEXAMPLE", "hush"));
    client_with(fetch)
}

fn client_with(fetch: impl Fn() -> Result<Credentials, Error> + Send + Sync + 'static) -> Client {
    let credentials = CredentialCache::new(Box::new(fetch));
    Client::with_credentials(credentials, "eu-central-1", "tests/1", |_| ())
}

fn put(server: &Loopback) -> AwsCall<'static> {
    AwsCall {
        service: sign::S3,
        operation: "S3 PutObject",
        target: "images/key".to_string(),
        method: "PUT",
        url: format!("{}/images/key", server.url()),
        headers: vec![("content-type", "image/png".to_string())],
        body: b"picture",
        max_bytes: 1000,
        ..AwsCall::default()
    }
}

fn get(server: &Loopback) -> AwsCall<'static> {
    AwsCall { method: "GET", operation: "S3 GetObject", body: b"", ..put(server) }
}

fn s3_error(status: &str, code: &str, headers: &[(&str, &str)]) -> String {
    answer(status, headers, &format!("<Error><Code>{code}</Code><Message>m</Message></Error>"))
}

#[test]
fn what_is_sent() {
    let server = Loopback::answering(vec![ok("")]);
    client().call(&put(&server)).unwrap();
    let request = &server.requests()[0];
    for part in [
        "PUT /images/key HTTP/1.1\r\n",
        "content-type: image/png\r\n",
        "content-length: 7\r\n",
        "user-agent: tests/1",
        "/eu-central-1/s3/aws4_request, SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date, ",
        "\r\n\r\npicture",
    ] {
        assert!(request.contains(part), "{part} is not in {request}");
    }
    assert!(!request.contains("hush"));
}

#[test]
fn passing_failures_are_borne() {
    let truncated = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart".to_string();
    for failure in [
        s3_error("503 Slow Down", "SlowDown", &[]),
        s3_error("200 OK", "SlowDown", &[]),
        s3_error("500 X", "InternalError", &[]),
        s3_error("400 Bad Request", "RequestTimeout", &[]),
        s3_error("409 Conflict", "ConditionalRequestConflict", &[]),
        answer("429 X", &[], ""),
        ok("<html>Please log in.</html>"),
        truncated,
        "HTTP/1.1 200 OK\r\nConte".to_string(),
        "not HTTP at all\r\n\r\n".to_string(),
        String::new(),
    ] {
        let server = Loopback::answering(vec![failure.clone(), ok("")]);
        let result = client().call(&put(&server));
        assert!(result.is_ok(), "{failure}: {:?}", result.err());
        assert_eq!(server.requests().len(), 2, "{failure}");
    }
}

#[test]
fn a_refusal_is_not_repeated() {
    let refusal = s3_error(
        "403 Forbidden",
        "AccessDenied",
        &[("x-amz-request-id", "R1"), ("x-amz-bucket-region", "us-west-2")],
    );
    let server = Loopback::answering(vec![refusal, ok("")]);
    let error = client().call(&put(&server)).err().unwrap();
    assert_eq!((error.status(), error.attempts, server.requests().len()), (Some(403), 1, 1));
    let text = error.to_string();
    for part in
        ["S3 PutObject images/key", "403 AccessDenied: m", "request id R1", "the bucket is in us-west-2"]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn attempts_are_bounded() {
    let down = || Loopback::answering((0..20).map(|_| answer("503 X", &[], "")).collect());
    // More time than the longest pauses between attempts can take, which are drawn by lot.
    let server = down();
    let call = AwsCall { budget: Duration::from_secs(60), ..put(&server) };
    let error = client().call(&call).err().unwrap();
    assert_eq!((error.attempts, server.requests().len() as u32), (retry::MAX_ATTEMPTS, retry::MAX_ATTEMPTS));
    // Less than the shortest.
    let server = down();
    let call = AwsCall { budget: Duration::from_millis(1), ..put(&server) };
    let error = client().call(&call).err().unwrap();
    assert!(error.attempts <= 1 && server.requests().len() <= 1, "{error}");
}

#[test]
fn silence_is_bounded_in_time() {
    let server = Loopback::silent();
    let budget = Duration::from_millis(2000);
    // After a long poll there is no time for another.
    for (wait, repeated) in [(Duration::ZERO, true), (Duration::from_secs(3), false)] {
        let start = Instant::now();
        let call = AwsCall { wait, budget, ..put(&server) };
        let error = client().call(&call).err().unwrap();
        assert!(matches!(error.last, AttemptError::Lost(_)), "{error}");
        assert_eq!(error.attempts > 1, repeated, "{error}");
        let elapsed = start.elapsed();
        assert!(elapsed < budget + wait + Duration::from_secs(1), "{elapsed:?}");
        assert!(elapsed >= call.attempt_timeout(), "{elapsed:?}");
    }
}

/// A byte now and then keeps a connection alive, but not a call.
#[test]
fn a_dribbling_answer_is_bounded_in_time() {
    use std::io::Write;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/images/key", listener.local_addr().unwrap());
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            thread::spawn(move || {
                let mut dribble = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_vec();
                dribble.resize(1000, b'x');
                for byte in dribble {
                    if connection.write_all(&[byte]).is_err() {
                        return;
                    }
                    thread::sleep(Duration::from_millis(5));
                }
            });
        }
    });
    let budget = Duration::from_millis(1000);
    let start = Instant::now();
    let error = client().call(&AwsCall { url, budget, ..get(&Loopback::answering(vec![])) }).err().unwrap();
    assert!(matches!(error.last, AttemptError::Lost(_)), "{error}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn a_long_answer_is_bounded_in_size() {
    let long = "x".repeat(1001);
    let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{long}\r\n0\r\n\r\n");
    for answer in [ok(&long), chunked] {
        let server = Loopback::answering(vec![answer]);
        let error = client().call(&get(&server)).err().unwrap();
        assert!(matches!(error.last, AttemptError::TooLarge { max_bytes: 1000 }));
    }
    let server = Loopback::answering(vec![ok(&long[..1000])]);
    assert_eq!(client().call(&get(&server)).unwrap().body.len(), 1000);
}

#[test]
fn a_wrong_clock_is_put_right_once() {
    let tomorrow = [("Date", "Fri, 01 Jan 2100 12:00:00 GMT")];
    let skewed = || s3_error("403 Forbidden", "RequestTimeTooSkewed", &tomorrow);
    let server = Loopback::answering(vec![skewed(), ok(""), ok("")]);
    let client = client();
    client.call(&put(&server)).unwrap();
    client.call(&put(&server)).unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    assert!(!requests[0].contains("x-amz-date: 21000101T"), "{}", requests[0]);
    assert!(requests[1..].iter().all(|request| request.contains("x-amz-date: 21000101T")), "{requests:?}");

    let yesterday = [("Date", "Sat, 01 Jan 2000 12:00:00 GMT")];
    let body = r#"{"__type":"com.amazon.coral.service#InvalidSignatureException","message":"Signature not yet current: x"}"#;
    let server =
        Loopback::answering(vec![answer("403 X", &yesterday, body), answer("403 X", &yesterday, body)]);
    let error = client.call(&AwsCall { service: sign::SQS, method: "POST", ..put(&server) }).err().unwrap();
    assert_eq!(error.attempts, 2);
    assert!(server.requests()[1].contains("x-amz-date: 20000101T"), "{:?}", server.requests());
}

#[test]
fn expired_credentials_are_fetched_again_once() {
    let count = AtomicI64::new(0);
    let fetch = move || {
        let n = count.fetch_add(1, Ordering::SeqCst);
        Ok(Credentials::of_key(&format!("KEY{n}"), "hush"))
    };
    let client = client_with(fetch);
    let expired = || s3_error("400 Bad Request", "ExpiredToken", &[]);
    let server = Loopback::answering(vec![expired(), ok(""), expired()]);
    client.call(&put(&server)).unwrap();
    // So soon after new ones it would be of no use.
    let error = client.call(&put(&server)).err().unwrap();
    assert_eq!(error.attempts, 1);
    assert!(error.to_string().contains("AWS_SESSION_TOKEN"), "{error}");
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    for (request, key) in requests.iter().zip(["KEY0", "KEY1", "KEY1"]) {
        assert!(request.contains(&format!("Credential={key}/")), "{request}");
    }
}

#[test]
fn without_credentials_nothing_is_sent() {
    let client = client_with(|| Err(Error::new(ErrorKind::Refused, "no AWS credentials")));
    let server = Loopback::answering(vec![]);
    let error = client.call(&put(&server)).err().unwrap();
    assert_eq!(error.to_string(), "S3 PutObject images/key: no AWS credentials");
}

#[test]
fn connections_are_reused_and_a_dead_one_is_replaced() {
    use std::io::Write;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/images/key", listener.local_addr().unwrap());
    let accepted = thread::spawn(move || {
        let mut chunk = [0; 4096];
        let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let (mut first, _) = listener.accept().unwrap();
        for _ in 0..2 {
            let _ = first.read(&mut chunk).unwrap();
            first.write_all(reply).unwrap();
        }
        // The third request on this connection is read and gets no answer.
        let _ = first.read(&mut chunk).unwrap();
        drop(first);
        let (mut second, _) = listener.accept().unwrap();
        let _ = second.read(&mut chunk).unwrap();
        second.write_all(reply).unwrap();
    });
    let client = client();
    let server = Loopback::answering(vec![]);
    for _ in 0..3 {
        client.call(&AwsCall { url: url.clone(), ..get(&server) }).unwrap();
    }
    accepted.join().unwrap();
}
