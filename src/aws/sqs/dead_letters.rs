//! Finds a queue's dead-letter queue, for `worker --redrive`.
//!
//! A queue's redrive policy names the dead-letter queue by its ARN, `arn:aws:sqs:{region}:{account}:{name}`, and calls go by
//! URLs; so SQS is asked for both. The dead-letter queue is always of the same region and account (SQS Developer Guide,
//! "Using dead-letter queues in Amazon SQS").

use serde_json::{Value, json};

use super::SqsQueue;
use crate::domain::failure::Failure;
use crate::domain::queue::QueueError;

impl SqsQueue {
    /// The queue's dead-letter queue. The policy must allow `sqs:GetQueueAttributes` on the queue and `sqs:GetQueueUrl` on the
    /// other.
    pub fn dead_letters(&self) -> Result<SqsQueue, QueueError> {
        const OPERATION: &str = "SQS GetQueueAttributes";
        let reply = self.call(OPERATION, json!({ "AttributeNames": ["RedrivePolicy"] }))?;
        let policy = reply["Attributes"]["RedrivePolicy"].as_str().unwrap_or_default();
        let (account, name) = account_and_name(policy).ok_or_else(|| {
            self.failed(OPERATION, &format!("no dead-letter queue: the queue's RedrivePolicy is {policy:?}"))
        })?;
        let request = json!({ "QueueName": name, "QueueOwnerAWSAccountId": account });
        let reply = self.call("SQS GetQueueUrl", request).map_err(|error| {
            let text = format!("the dead-letter queue {name} of account {account}: {error}");
            QueueError::Failed(Failure::caused_by(error.cause(), text, error))
        })?;
        let url =
            reply["QueueUrl"].as_str().ok_or_else(|| self.unreadable("SQS GetQueueUrl", "no QueueUrl"))?;
        Ok(SqsQueue {
            client: self.client.clone(),
            queue_url: url.to_string(),
            endpoint: self.endpoint.clone(),
        })
    }

    /// The queue's URL.
    pub fn url(&self) -> &str {
        &self.queue_url
    }
}

/// Of the dead-letter queue that a redrive policy names.
fn account_and_name(policy: &str) -> Option<(String, String)> {
    let policy: Value = serde_json::from_str(policy).ok()?;
    let mut parts = policy["deadLetterTargetArn"].as_str()?.rsplit(':');
    let (name, account) = (parts.next()?, parts.next()?);
    (!name.is_empty() && !account.is_empty()).then(|| (account.to_string(), name.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_policy_names() {
        let arn = "arn:aws:sqs:eu-west-1:123456789012:jobs-dead";
        let policy = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": 5 }).to_string();
        assert_eq!(account_and_name(&policy), Some(("123456789012".to_string(), "jobs-dead".to_string())));
        for bad in ["", "{}", "null", r#"{"deadLetterTargetArn":"jobs"}"#, r#"{"deadLetterTargetArn":"::"}"#]
        {
            assert_eq!(account_and_name(bad), None, "{bad}");
        }
    }
}
