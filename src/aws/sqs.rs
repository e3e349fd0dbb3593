//! The queue on SQS, by its JSON protocol.
//!
//! Amazon SQS API Reference, "SendMessage", "ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch",
//! "GetQueueAttributes" and "GetQueueUrl"; SQS Developer Guide, "Making requests using the AWS JSON protocol". In a
//! policy, the actions have these names without `Batch`.
//!
//! A call whose answer is lost is made again. So a job may be sent twice, which does no harm, and a batch may be received by
//! nobody, which the visibility timeout repairs.

mod dead_letters;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use aws_client::{AwsCall, CALL_BUDGET, Client, endpoint, env, next_delay, sign};
use serde_json::{Value, json};

use crate::aws::Aws;
use crate::domain::failure::{Cause, Failure};
use crate::domain::job::Job;
use crate::domain::queue::{
    Depth, MAX_BATCH, Message, Queue, QueueError, Receipt, VISIBILITY_SECONDS, VisibilityChange,
};
use crate::support::log;

/// The longest long poll that SQS knows, in seconds.
pub(crate) const MAX_WAIT_SECONDS: u64 = 20;

/// The longest visibility timeout that SQS knows, in seconds.
pub(crate) const MAX_VISIBILITY_SECONDS: u32 = 43_200;

/// The most bytes of an answer. Ten messages are at most 1 MiB together, and JSON may make six bytes of one.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// How often the entries of a batch are tried if SQS itself fails on them.
const BATCH_ATTEMPTS: u32 = 3;

/// How long one `change_visibility` may take. Jobs that are done wait while a heartbeat is under way, and the next heartbeat
/// repeats one that failed.
const VISIBILITY_BUDGET: Duration = Duration::from_secs(3);

/// With less time than this left a batch is not sent, because it would hardly be answered.
const SHORTEST_BATCH: Duration = Duration::from_millis(200);

pub struct SqsQueue {
    client: Arc<Client>,
    queue_url: String,
    endpoint: String,
}

impl SqsQueue {
    /// The queue of that URL. Requests go to the host in it, unless `AWS_ENDPOINT_URL_SQS` or `AWS_ENDPOINT_URL` is set.
    ///
    /// What would fail at every call is refused here: a queue at AWS in another region than the one that is signed for, and a
    /// FIFO queue, to which messages cannot be sent without a group, and which holds back all of a group for one in hand.
    pub fn new(aws: &Aws, queue_url: &str) -> Result<SqsQueue, Failure> {
        let Some((origin, path)) = endpoint::split(queue_url) else {
            let shown = env::shown(queue_url);
            return Err(Failure::new(
                Cause::Refused,
                format!(
                    "JOBS_QUEUE_URL is {shown:?}, but it must be a URL such as \
                     https://sqs.eu-central-1.amazonaws.com/123456789012/jobs"
                ),
            ));
        };
        if path.ends_with(".fifo") {
            let text = format!(
                "JOBS_QUEUE_URL is {queue_url:?}, but the jobs need a standard queue, not a FIFO queue"
            );
            return Err(Failure::new(Cause::Refused, text));
        }
        let custom = endpoint::configured(&aws.env, &["AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL"])?;
        let region = aws.region();
        if let Some(queues) = endpoint::region_of_queue_url(queue_url).filter(|queues| *queues != region)
            && custom.is_none()
        {
            return Err(Failure::new(
                Cause::Refused,
                format!(
                    "JOBS_QUEUE_URL is {queue_url:?}, in {queues}, but AWS_REGION (or the AWS profile's region) is \
                     {region}; the bucket and the queue must both be in that region"
                ),
            ));
        }
        let (client, endpoint) = (aws.client.clone(), custom.unwrap_or(origin));
        Ok(SqsQueue { client, queue_url: queue_url.to_string(), endpoint })
    }

    /// Makes one call that is no long poll.
    fn call(&self, operation: &'static str, request: Value) -> Result<Value, QueueError> {
        self.call_for(operation, request, Duration::ZERO, CALL_BUDGET)
    }

    /// Makes one call. `operation` is `SQS ` and AWS's name. The QueueUrl is added to `request`, unless the call asks for a URL
    /// by a QueueName.
    fn call_for(
        &self,
        operation: &'static str,
        mut request: Value,
        wait: Duration,
        budget: Duration,
    ) -> Result<Value, QueueError> {
        if request.get("QueueName").is_none() {
            request["QueueUrl"] = self.queue_url.as_str().into();
        }
        let action = operation.trim_start_matches("SQS ");
        let reply = self.client.call(&AwsCall {
            service: sign::SQS,
            operation,
            target: self.queue_url.clone(),
            target_setting: "JOBS_QUEUE_URL",
            method: "POST",
            url: format!("{}/", self.endpoint),
            headers: vec![
                ("content-type", "application/x-amz-json-1.0".to_string()),
                ("x-amz-target", format!("AmazonSQS.{action}")),
            ],
            body: request.to_string().as_bytes(),
            max_bytes: MAX_ANSWER_BYTES,
            wait,
            budget,
            ..AwsCall::default()
        });
        let body = reply.map_err(|error| QueueError::Failed(error.into()))?.body;
        serde_json::from_slice(&body).map_err(|e| self.unreadable(operation, &format!("not JSON: {e}")))
    }

    /// Makes a batch call for any number of entries, which need no Id. All are tried, as long as the budget for all of them
    /// lasts; the first error is returned.
    fn batches(
        &self,
        operation: &'static str,
        entries: Vec<Value>,
        budget: Duration,
    ) -> Result<(), QueueError> {
        let deadline = Instant::now() + budget;
        let mut result = Ok(());
        for batch in entries.chunks(MAX_BATCH) {
            result = result.and(self.batch(operation, batch.to_vec(), deadline));
        }
        result
    }

    /// Makes one batch call. Entries on which SQS itself failed are tried again. If other entries are wrong, that is the error to
    /// return, because it will not go away.
    fn batch(
        &self,
        operation: &'static str,
        mut entries: Vec<Value>,
        deadline: Instant,
    ) -> Result<(), QueueError> {
        let size = entries.len();
        for (id, entry) in entries.iter_mut().enumerate() {
            entry["Id"] = id.to_string().into();
        }
        let (mut result, mut delay, mut attempts) = (Ok(()), Duration::ZERO, 0);
        loop {
            let budget = deadline.saturating_duration_since(Instant::now());
            if budget < SHORTEST_BATCH {
                return result.and(Err(self.failed(operation, "no time is left for this batch")));
            }
            let request = json!({ "Entries": entries });
            let reply = match self.call_for(operation, request, Duration::ZERO, budget) {
                Ok(reply) => reply,
                Err(error) => return result.and(Err(error)),
            };
            attempts += 1;
            let failed = reply["Failed"].as_array().map_or(&[][..], Vec::as_slice);
            let (refused, to_retry): (Vec<&Value>, Vec<&Value>) = failed
                .iter()
                .filter(|entry| !is_stale(entry))
                .partition(|entry| entry["SenderFault"] == Value::Bool(true));
            result = result.and(self.all_done(operation, &refused, size));
            entries.retain(|entry| to_retry.iter().any(|failed| failed["Id"] == entry["Id"]));
            if entries.is_empty() || attempts == BATCH_ATTEMPTS {
                return result.and(self.all_done(operation, &to_retry, size));
            }
            delay = next_delay(delay);
            thread::sleep(delay);
        }
    }

    /// An error unless there are no failed entries.
    fn all_done(&self, operation: &str, failed: &[&Value], size: usize) -> Result<(), QueueError> {
        let Some(first) = failed.first() else { return Ok(()) };
        let text = |name: &str| first[name].as_str().unwrap_or_default();
        let (count, code, message) = (failed.len(), text("Code"), text("Message"));
        let what = format!("{count} of {size} entries failed, the first with {code}: {message}");
        Err(self.failed(operation, &what))
    }

    fn failed(&self, operation: &str, what: &str) -> QueueError {
        QueueError::Failed(Failure::new(Cause::Other, format!("{operation} {}: {what}", self.queue_url)))
    }

    fn unreadable(&self, operation: &str, what: &str) -> QueueError {
        self.failed(operation, &format!("unreadable answer: {what}"))
    }

    /// Reads a received message. One that cannot be read is left out, so that the others are not lost for the visibility timeout.
    fn message(&self, message: &Value) -> Option<Message> {
        let warn = |what: &str| {
            let id = message["MessageId"].as_str().unwrap_or_default();
            log::warn("odd_message", &[("queue", &self.queue_url), ("message", &id), ("what", &what)]);
        };
        let (Some(receipt), Some(body)) = (message["ReceiptHandle"].as_str(), message["Body"].as_str())
        else {
            warn("left for the dead-letter queue: it has no ReceiptHandle or no Body");
            return None;
        };
        let count = &message["Attributes"]["ApproximateReceiveCount"];
        let receive_count = count.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| {
            warn("taken for received once: it has no ApproximateReceiveCount");
            1
        });
        Some(Message { receipt: Receipt(receipt.to_string()), body: body.to_string(), receive_count })
    }
}

impl Queue for SqsQueue {
    fn send(&self, job: &Job) -> Result<(), QueueError> {
        self.call("SQS SendMessage", json!({ "MessageBody": job.to_json() })).map(drop)
    }

    fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Message>, QueueError> {
        let wait_seconds = wait.as_secs().min(MAX_WAIT_SECONDS);
        let request = json!({
            "MaxNumberOfMessages": max.clamp(1, MAX_BATCH),
            "WaitTimeSeconds": wait_seconds,
            "VisibilityTimeout": VISIBILITY_SECONDS,
            "MessageSystemAttributeNames": ["ApproximateReceiveCount"],
            "AttributeNames": ["ApproximateReceiveCount"], // the older name, which some engines still go by
        });
        let wait = Duration::from_secs(wait_seconds);
        let reply = self.call_for("SQS ReceiveMessage", request, wait, CALL_BUDGET)?;
        let messages = reply["Messages"].as_array().map_or(&[][..], Vec::as_slice);
        Ok(messages.iter().filter_map(|message| self.message(message)).collect())
    }

    fn delete(&self, receipts: &[Receipt]) -> Result<(), QueueError> {
        let entries = receipts.iter().map(|receipt| json!({ "ReceiptHandle": receipt.0 }));
        self.batches("SQS DeleteMessageBatch", entries.collect(), CALL_BUDGET)
    }

    fn change_visibility(&self, changes: &[VisibilityChange]) -> Result<(), QueueError> {
        let entries = changes.iter().map(|VisibilityChange { receipt, seconds }| {
            json!({ "ReceiptHandle": receipt.0, "VisibilityTimeout": seconds.min(&MAX_VISIBILITY_SECONDS) })
        });
        self.batches("SQS ChangeMessageVisibilityBatch", entries.collect(), VISIBILITY_BUDGET)
    }

    fn depth(&self) -> Result<Depth, QueueError> {
        const NAMES: [&str; 3] = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ];
        let reply = self.call("SQS GetQueueAttributes", json!({ "AttributeNames": NAMES }))?;
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
mod tests;
