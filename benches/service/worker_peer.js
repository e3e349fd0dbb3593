// The worker's work in Node: the AWS SDK, and sharp. One process; libuv's threads, which sharp computes on, fill the cores.
// Thumbnails are made as benches/peers has them from sharp at its best.
"use strict";

const { availableParallelism } = require("node:os");
const { S3Client, GetObjectCommand, PutObjectCommand } = require("@aws-sdk/client-s3");
const { SQSClient, ReceiveMessageCommand, DeleteMessageBatchCommand } = require("@aws-sdk/client-sqs");
const { pyramid } = require("../peers/sharp_peer.js");

const JOBS_IN_HAND = 8 * availableParallelism();
const MAX_BATCH = 10;
const NAMES = ["large", "medium", "small"]; // in the order in which they are made
const CONTENT_TYPES = { jpg: "image/jpeg", png: "image/png" };

const Bucket = process.env.IMAGES_BUCKET;
const QueueUrl = process.env.JOBS_QUEUE_URL;
const s3 = new S3Client({ forcePathStyle: true });
const sqs = new SQSClient({});

async function run(message) {
  const job = JSON.parse(message.Body);
  const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: job.original }));
  const original = await Body.transformToByteArray();
  const files = await pyramid(original, job.thumbnails);
  const puts = files.map((file, index) =>
    s3.send(
      new PutObjectCommand({
        Bucket,
        Key: `${job.id}/${NAMES[index]}.${job.thumbnails}`,
        Body: file,
        ContentType: CONTENT_TYPES[job.thumbnails],
        CacheControl: "public, max-age=31536000, immutable",
      }),
    ),
  );
  await Promise.all(puts);
  console.error(`job id=${job.id} outcome=done bytes=${original.length}`);
  return message.ReceiptHandle;
}

const done = [];
let deleting = false;

async function deleteDone() {
  if (deleting) {
    return; // the next batch gathers meanwhile
  }
  deleting = true;
  while (done.length > 0) {
    const Entries = done.splice(0, MAX_BATCH).map((ReceiptHandle, index) => ({ Id: String(index), ReceiptHandle }));
    await sqs.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }));
  }
  deleting = false;
}

async function main() {
  const inHand = new Set();
  for (;;) {
    while (inHand.size >= JOBS_IN_HAND) {
      await Promise.race(inHand);
    }
    const MaxNumberOfMessages = Math.min(MAX_BATCH, JOBS_IN_HAND - inHand.size);
    const receive = { QueueUrl, MaxNumberOfMessages, WaitTimeSeconds: 20, VisibilityTimeout: 60 };
    const { Messages = [] } = await sqs.send(new ReceiveMessageCommand(receive));
    for (const message of Messages) {
      const job = run(message).then((receipt) => {
        inHand.delete(job);
        done.push(receipt);
        return deleteDone();
      });
      inHand.add(job);
    }
  }
}

main();
