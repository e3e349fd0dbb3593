//! What is asked of SQS, and what becomes of its answers.

use aws_client::env::Env;
use samples::loopback::{Loopback, answer, ok};

use super::*;

const URL: &str = "https://sqs.eu-central-1.amazonaws.com/123456789012/jobs";

fn queue(variables: &[(&str, &str)], url: &str) -> Result<SqsQueue, Failure> {
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hush"),
        ("AWS_REGION", "eu-central-1"),
    ];
    let env: Env = keys.iter().chain(variables).copied().collect();
    SqsQueue::new(&Aws::new(env, url)?, url)
}

fn on(server: &Loopback) -> SqsQueue {
    queue(&[("AWS_ENDPOINT_URL_SQS", &server.url())], URL).unwrap()
}

fn receipts(n: usize) -> Vec<Receipt> {
    (0..n).map(|n| Receipt(format!("receipt-{n}"))).collect()
}

#[test]
fn endpoints() {
    assert_eq!(queue(&[], URL).unwrap().endpoint, "https://sqs.eu-central-1.amazonaws.com");
    assert_eq!(queue(&[], "http://localhost:4566/0/jobs").unwrap().endpoint, "http://localhost:4566");
    for bad in ["", "jobs", "ftp://host/0/jobs", "https://host/0/jobs.fifo"] {
        let error = queue(&[], bad).err().unwrap().to_string();
        assert!(error.contains("JOBS_QUEUE_URL") && error.contains(bad), "{error}");
    }
    let error = queue(&[], "https://user:hush@host/0/jobs").err().unwrap().to_string();
    assert!(error.contains("@host") && !error.contains("hush"), "{error}");
    assert!(queue(&[], "https://host/0/jobs.fifo").err().unwrap().to_string().contains("FIFO"));
}

#[test]
fn a_queue_in_another_region() {
    let elsewhere = ("AWS_REGION", "eu-west-1");
    let error = queue(&[elsewhere], URL).err().unwrap().to_string();
    for part in ["JOBS_QUEUE_URL", "AWS_REGION", "eu-central-1", "eu-west-1"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
    assert!(queue(&[elsewhere, ("AWS_ENDPOINT_URL", "http://localhost:4566")], URL).is_ok());
    assert!(queue(&[elsewhere], "https://queue.example.com/0/jobs").is_ok());
}

#[test]
fn what_a_receive_sends_and_reads() {
    let body = r#"{"Messages":[{"MessageId":"m","ReceiptHandle":"r","Body":"{}",
        "Attributes":{"ApproximateReceiveCount":"3"}}]}"#;
    let server = Loopback::answering(vec![ok(body), ok("{}")]);
    let queue = on(&server);
    let messages = queue.receive(10, Duration::from_secs(99)).unwrap();
    assert_eq!(
        (messages[0].receipt.0.as_str(), messages[0].body.as_str(), messages[0].receive_count),
        ("r", "{}", 3)
    );
    assert!(queue.receive(0, Duration::ZERO).unwrap().is_empty());
    let requests = server.requests();
    assert!(requests[0].contains("\r\nx-amz-target: AmazonSQS.ReceiveMessage\r\n"), "{requests:?}");
    assert!(requests[0].contains("SignedHeaders=content-type;host;x-amz-date;x-amz-target,"), "{requests:?}");
    let (_, sent) = requests[0].split_once("\r\n\r\n").unwrap();
    let expected = json!({"QueueUrl": URL, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 20,
        "VisibilityTimeout": 30, "MessageSystemAttributeNames": ["ApproximateReceiveCount"],
        "AttributeNames": ["ApproximateReceiveCount"]});
    assert_eq!(serde_json::from_str::<Value>(sent).unwrap(), expected);
}

#[test]
fn answers_that_cannot_be_read() {
    for body in ["", "[", "<html>"] {
        let server = Loopback::answering(vec![ok(body), ok("{}")]);
        assert!(on(&server).receive(1, Duration::ZERO).is_ok(), "it is asked for again");
        let server = Loopback::answering((0..aws_client::MAX_ATTEMPTS).map(|_| ok(body)).collect());
        let error = on(&server).receive(1, Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("no answer of the service") && error.contains(URL), "{error}");
    }
    let server = Loopback::answering(vec![ok(r#"{"Attributes":{"ApproximateNumberOfMessages":"many"}}"#)]);
    assert!(on(&server).depth().is_err());
}

#[test]
fn an_odd_message_does_not_take_the_others_along() {
    let attributes = |count: &str| json!({ "ApproximateReceiveCount": count });
    let messages = json!({ "Messages": [
        {},
        { "ReceiptHandle": "no-body" },
        { "Body": "no receipt" },
        { "ReceiptHandle": "no-count", "Body": "b" },
        { "ReceiptHandle": "odd-count", "Body": "b", "Attributes": attributes("many") },
        { "ReceiptHandle": "whole", "Body": "b", "Attributes": attributes("4") },
    ]});
    let server = Loopback::answering(vec![ok(&messages.to_string())]);
    let received = on(&server).receive(10, Duration::ZERO).unwrap();
    let found: Vec<_> =
        received.iter().map(|message| (message.receipt.0.as_str(), message.receive_count)).collect();
    assert_eq!(found, [("no-count", 1), ("odd-count", 1), ("whole", 4)]);
}

#[test]
fn stale_receipts_are_no_error_and_others_are() {
    let entry = |id: &str, code: &str, message: &str| -> Value {
        json!({"Id": id, "Code": code, "Message": message, "SenderFault": true})
    };
    let expired = "Value x for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.";
    let stale = json!({"Failed": [
        entry("0", "ReceiptHandleIsInvalid", ""),
        entry("1", "AWS.SimpleQueueService.MessageNotInflight", ""),
        entry("2", "InvalidParameterValue", expired),
    ]});
    let wrong = json!({"Failed": [entry("0", "InvalidParameterValue", "Total VisibilityTimeout is beyond the limit")]});
    let server = Loopback::answering(vec![ok(&stale.to_string()), ok(&wrong.to_string())]);
    on(&server).delete(&receipts(3)).unwrap();
    let error = on(&server).delete(&receipts(3)).unwrap_err().to_string();
    assert!(error.contains("1 of 3 entries failed, the first with InvalidParameterValue: Total"), "{error}");
}

#[test]
fn entries_that_sqs_failed_on_are_tried_again() {
    let failed =
        json!({"Failed": [{"Id": "1", "Code": "InternalError", "Message": "m", "SenderFault": false}]});
    let server = Loopback::answering(vec![ok(&failed.to_string()), ok("{}")]);
    on(&server).delete(&receipts(2)).unwrap();
    let requests = server.requests();
    assert!(!requests[1].contains("receipt-0") && requests[1].contains("receipt-1"), "{requests:?}");
    let server = Loopback::answering((0..9).map(|_| ok(&failed.to_string())).collect());
    assert!(on(&server).delete(&receipts(2)).is_err());
    assert_eq!(server.requests().len() as u32, BATCH_ATTEMPTS);
}

#[test]
fn the_senders_fault_does_not_keep_others_from_being_tried_again() {
    let fault = |id: &str, code: &str, senders: bool| json!({"Id": id, "Code": code, "SenderFault": senders});
    let both = json!({ "Failed": [fault("1", "InternalError", false), fault("2", "EmptyBatch", true)] });
    let server = Loopback::answering(vec![ok(&both.to_string()), ok("{}")]);
    let error = on(&server).delete(&receipts(3)).unwrap_err().to_string();
    assert!(error.contains("1 of 3 entries failed, the first with EmptyBatch"), "{error}");
    let again = &server.requests()[1];
    assert!(again.contains("receipt-1") && !again.contains("receipt-0") && !again.contains("receipt-2"));
    // What comes after does not hide it.
    let denied = answer("403 X", &[], r#"{"__type":"AccessDeniedException"}"#);
    let server = Loopback::answering(vec![ok(&both.to_string()), denied]);
    assert!(on(&server).delete(&receipts(3)).unwrap_err().to_string().contains("EmptyBatch"));
}

#[test]
fn changing_visibility_is_bounded_in_time() {
    let server = Loopback::silent();
    let changes: Vec<_> = receipts(25).into_iter().map(|receipt| receipt.visible_in(30)).collect();
    let start = Instant::now();
    assert!(on(&server).change_visibility(&changes).is_err());
    let elapsed = start.elapsed();
    assert!(elapsed < VISIBILITY_BUDGET + Duration::from_secs(1), "{elapsed:?}");
}

#[test]
fn all_batches_are_tried_and_the_first_error_is_kept() {
    let denied = answer("403 X", &[], r#"{"__type":"AccessDeniedException","message":"first"}"#);
    let server = Loopback::answering(vec![denied, ok("{}"), ok("{}")]);
    let error = on(&server).delete(&receipts(21)).unwrap_err().to_string();
    assert!(
        error.contains("SQS DeleteMessageBatch") && error.contains("AccessDeniedException: first"),
        "{error}"
    );
    assert_eq!(server.requests().len(), 3);
    let server = Loopback::answering(vec![]);
    on(&server).delete(&[]).unwrap();
    on(&server).change_visibility(&[]).unwrap();
}
