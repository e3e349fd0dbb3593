//! The queue on SQS, by its JSON protocol.
//!
//! Amazon SQS API Reference, "SendMessage", "ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch" and
//! "GetQueueAttributes"; SQS Developer Guide, "Making requests using the AWS JSON protocol". The names of the policy's actions
//! are those without `Batch`.
//!
//! A call whose answer is lost is made again. So a job may be sent twice, which workers bear, and a batch may be received by
//! nobody, which the visibility timeout mends.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::aws::client::{Call, Client};
use crate::aws::{Aws, endpoint, retry, sign};
use crate::job::Job;
use crate::queue::{Depth, MAX_BATCH, Message, Queue, QueueError, Receipt, VISIBILITY_SECONDS};

/// The longest long poll that SQS knows, in seconds.
pub const MAX_WAIT_SECONDS: u64 = 20;

/// The longest visibility timeout that SQS knows, in seconds.
pub const MAX_VISIBILITY_SECONDS: u32 = 43_200;

/// The most bytes of an answer. Ten messages are at most 1 MiB together, and JSON may make six bytes of one.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// How often the entries of a batch that SQS itself failed on are tried.
const BATCH_ATTEMPTS: u32 = 3;

/// A queue.
pub struct SqsQueue {
    client: Arc<Client>,
    queue_url: String,
    endpoint: String,
}

impl SqsQueue {
    /// The queue of that URL. Requests go to the host in it, unless `AWS_ENDPOINT_URL_SQS` or `AWS_ENDPOINT_URL` is set.
    pub fn new(aws: &Aws, queue_url: &str) -> Result<SqsQueue, String> {
        let path_names_a_queue = |path: &str| path.len() > 1 && !path.contains(['?', '#']);
        let Some((origin, _)) = endpoint::split(queue_url).filter(|(_, path)| path_names_a_queue(path))
        else {
            return Err(format!(
                "JOBS_QUEUE_URL is {queue_url:?}, but it must be a URL such as \
                 https://sqs.eu-central-1.amazonaws.com/123456789012/jobs"
            ));
        };
        let custom = endpoint::from_env(&aws.env, &["AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL"])?;
        let (client, endpoint) = (aws.client.clone(), custom.unwrap_or(origin));
        Ok(SqsQueue { client, queue_url: queue_url.to_string(), endpoint })
    }

    /// Makes one call. `operation` is `SQS ` and AWS's name; `request` lacks only the QueueUrl.
    fn call(&self, operation: &'static str, mut request: Value, wait: Duration) -> Result<Value, QueueError> {
        request["QueueUrl"] = self.queue_url.as_str().into();
        let action = operation.trim_start_matches("SQS ");
        let reply = self.client.call(&Call {
            service: sign::SQS,
            operation,
            target: self.queue_url.clone(),
            method: "POST",
            url: format!("{}/", self.endpoint),
            headers: vec![
                ("content-type", "application/x-amz-json-1.0".to_string()),
                ("x-amz-target", format!("AmazonSQS.{action}")),
            ],
            body: request.to_string().as_bytes(),
            max_bytes: MAX_ANSWER_BYTES,
            wait,
        });
        let body = reply.map_err(|error| QueueError::Failed(error.to_string()))?.body;
        serde_json::from_slice(&body).map_err(|e| self.unreadable(operation, &format!("not JSON: {e}")))
    }

    /// Makes a batch call for any number of entries, which need no Id. All are tried; the first error is returned.
    fn batches(&self, operation: &'static str, entries: Vec<Value>) -> Result<(), QueueError> {
        let mut result = Ok(());
        for batch in entries.chunks(MAX_BATCH) {
            result = result.and(self.batch(operation, batch.to_vec()));
        }
        result
    }

    fn batch(&self, operation: &'static str, mut entries: Vec<Value>) -> Result<(), QueueError> {
        for (id, entry) in entries.iter_mut().enumerate() {
            entry["Id"] = id.to_string().into();
        }
        for attempt in 1.. {
            let reply = self.call(operation, json!({ "Entries": entries }), Duration::ZERO)?;
            let failed = reply["Failed"].as_array().map_or(&[][..], Vec::as_slice);
            let failed: Vec<&Value> = failed.iter().filter(|entry| !is_stale(entry)).collect();
            let Some(first) = failed.first() else { return Ok(()) };
            let senders_fault = failed.iter().any(|entry| entry["SenderFault"] == Value::Bool(true));
            if senders_fault || attempt == BATCH_ATTEMPTS {
                return Err(QueueError::Failed(format!(
                    "{operation} {}: {} of {} entries failed, the first with {}: {}",
                    self.queue_url,
                    failed.len(),
                    entries.len(),
                    first["Code"].as_str().unwrap_or_default(),
                    first["Message"].as_str().unwrap_or_default()
                )));
            }
            entries.retain(|entry| failed.iter().any(|failed| failed["Id"] == entry["Id"]));
            thread::sleep(retry::MIN_DELAY);
        }
        Ok(())
    }

    fn unreadable(&self, operation: &str, what: &str) -> QueueError {
        QueueError::Failed(format!("{operation} {}: unreadable answer: {what}", self.queue_url))
    }

    fn message(&self, message: &Value) -> Result<Message, QueueError> {
        let text = |value: &Value, name| match value.as_str() {
            Some(text) => Ok(text.to_string()),
            None => Err(self.unreadable("SQS ReceiveMessage", &format!("a message has no {name}"))),
        };
        let count = text(&message["Attributes"]["ApproximateReceiveCount"], "ApproximateReceiveCount")?;
        Ok(Message {
            receipt: Receipt(text(&message["ReceiptHandle"], "ReceiptHandle")?),
            body: text(&message["Body"], "Body")?,
            receive_count: count.parse().map_err(|_| {
                self.unreadable("SQS ReceiveMessage", &format!("ApproximateReceiveCount is {count:?}"))
            })?,
        })
    }
}

impl Queue for SqsQueue {
    fn send(&self, job: &Job) -> Result<(), QueueError> {
        self.call("SQS SendMessage", json!({ "MessageBody": job.to_json() }), Duration::ZERO).map(drop)
    }

    fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Message>, QueueError> {
        let wait_seconds = wait.as_secs().min(MAX_WAIT_SECONDS);
        let request = json!({
            "MaxNumberOfMessages": max.clamp(1, MAX_BATCH),
            "WaitTimeSeconds": wait_seconds,
            "VisibilityTimeout": VISIBILITY_SECONDS,
            "MessageSystemAttributeNames": ["ApproximateReceiveCount"],
        });
        let reply = self.call("SQS ReceiveMessage", request, Duration::from_secs(wait_seconds))?;
        let messages = reply["Messages"].as_array().map_or(&[][..], Vec::as_slice);
        messages.iter().map(|message| self.message(message)).collect()
    }

    fn delete(&self, receipts: &[Receipt]) -> Result<(), QueueError> {
        let entries = receipts.iter().map(|receipt| json!({ "ReceiptHandle": receipt.0 }));
        self.batches("SQS DeleteMessageBatch", entries.collect())
    }

    fn change_visibility(&self, changes: &[(Receipt, u32)]) -> Result<(), QueueError> {
        let entries = changes.iter().map(|(receipt, seconds)| {
            json!({ "ReceiptHandle": receipt.0, "VisibilityTimeout": seconds.min(&MAX_VISIBILITY_SECONDS) })
        });
        self.batches("SQS ChangeMessageVisibilityBatch", entries.collect())
    }

    fn depth(&self) -> Result<Depth, QueueError> {
        const NAMES: [&str; 3] = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ];
        let reply =
            self.call("SQS GetQueueAttributes", json!({ "AttributeNames": NAMES }), Duration::ZERO)?;
        let count = |name: &str| {
            let value = &reply["Attributes"][name];
            let count = value.as_str().and_then(|text| text.parse::<u64>().ok());
            count.ok_or_else(|| self.unreadable("SQS GetQueueAttributes", &format!("{name} is {value}")))
        };
        Ok(Depth { visible: count(NAMES[0])?, in_flight: count(NAMES[1])?, delayed: count(NAMES[2])? })
    }
}

/// Whether a failed entry failed only because its receipt is no longer good. An expired one is told by its message alone:
/// "Value … for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired." or "Message does not exist …".
fn is_stale(entry: &Value) -> bool {
    let text = |name: &str| entry[name].as_str().unwrap_or_default();
    match text("Code").trim_start_matches("AWS.SimpleQueueService.") {
        "ReceiptHandleIsInvalid" | "MessageNotInflight" => true,
        "InvalidParameterValue" => text("Message").contains("parameter ReceiptHandle is invalid"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::loopback::{Loopback, answer, ok};
    use crate::env::Env;

    const URL: &str = "https://sqs.eu-central-1.amazonaws.com/123456789012/jobs";

    fn queue(variables: &[(&str, &str)], url: &str) -> Result<SqsQueue, String> {
        let keys =
            [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "hush"), ("AWS_REGION", "x")];
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
        for bad in
            ["", "jobs", "https://sqs.eu-central-1.amazonaws.com", "https://host/", "ftp://host/0/jobs"]
        {
            let error = queue(&[], bad).err().unwrap();
            assert!(error.contains("JOBS_QUEUE_URL") && error.contains(bad), "{error}");
        }
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
        assert!(
            requests[0].contains("SignedHeaders=content-type;host;x-amz-date;x-amz-target,"),
            "{requests:?}"
        );
        let (_, sent) = requests[0].split_once("\r\n\r\n").unwrap();
        let expected = json!({"QueueUrl": URL, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 20,
            "VisibilityTimeout": 30, "MessageSystemAttributeNames": ["ApproximateReceiveCount"]});
        assert_eq!(serde_json::from_str::<Value>(sent).unwrap(), expected);
    }

    #[test]
    fn answers_that_cannot_be_read() {
        for body in ["", "[", r#"{"Messages":[{}]}"#, r#"{"Messages":[{"ReceiptHandle":"r","Body":"b"}]}"#] {
            let server = Loopback::answering(vec![ok(body)]);
            let error = on(&server).receive(1, Duration::ZERO).unwrap_err().to_string();
            assert!(error.contains("unreadable answer") && error.contains(URL), "{error}");
        }
        let server =
            Loopback::answering(vec![ok(r#"{"Attributes":{"ApproximateNumberOfMessages":"many"}}"#)]);
        assert!(on(&server).depth().is_err());
    }

    #[test]
    fn stale_receipts_are_no_error_and_others_are() {
        let entry = |id: &str, code: &str, message: &str| json!({"Id": id, "Code": code, "Message": message, "SenderFault": true});
        let expired =
            "Value x for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.";
        let stale = json!({"Failed": [
            entry("0", "ReceiptHandleIsInvalid", ""),
            entry("1", "AWS.SimpleQueueService.MessageNotInflight", ""),
            entry("2", "InvalidParameterValue", expired),
        ]});
        let wrong = json!({"Failed": [entry("0", "InvalidParameterValue", "Total VisibilityTimeout is beyond the limit")]});
        let server = Loopback::answering(vec![ok(&stale.to_string()), ok(&wrong.to_string())]);
        on(&server).delete(&receipts(3)).unwrap();
        let error = on(&server).delete(&receipts(3)).unwrap_err().to_string();
        assert!(
            error.contains("1 of 3 entries failed, the first with InvalidParameterValue: Total"),
            "{error}"
        );
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
}
