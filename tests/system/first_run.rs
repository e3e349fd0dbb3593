//! `server --check` on settings of which one is wrong: the line that fails says which, and what to do.

use crate::engine::engine;
use crate::program::{run, said};

#[test]
fn check_says_which_setting_is_wrong() {
    let (bucket, queue) = (engine().new_bucket(), engine().new_queue());
    let check = |changes: &[(&str, &str)]| {
        let mut environment = engine().user_env();
        for (name, value) in
            [("PUBLIC_URL", "http://a"), ("IMAGES_BUCKET", &bucket), ("JOBS_QUEUE_URL", &queue.jobs)]
        {
            environment.push((name.into(), value.into()));
        }
        for (name, value) in changes {
            environment.retain(|(other, _)| other != name);
            environment.push((name.to_string(), value.to_string()));
        }
        run("server", &["--check"], &environment)
    };
    let right = check(&[]);
    assert!(right.status.success(), "{}", said(&right));
    for (name, value, advice) in [
        ("IMAGES_BUCKET", "no-such-bucket-here", "Check IMAGES_BUCKET"),
        ("JOBS_QUEUE_URL", &format!("{}x", queue.jobs), "Check JOBS_QUEUE_URL"),
        ("AWS_REGION", "eu-central-1", "the bucket is in us-east-1. Check AWS_REGION"),
        ("AWS_SECRET_ACCESS_KEY", "wrong", "Check AWS_SECRET_ACCESS_KEY"),
        ("AWS_ACCESS_KEY_ID", "", "AWS_ACCESS_KEY_ID is not; set both or neither"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", "Connection refused"),
    ] {
        let output = check(&[(name, value)]);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains(advice), "{name}: {}", said(&output));
    }
}
