//! Noticing that the machine is about to be taken away: a spot instance that EC2 wants back, or one that its Auto Scaling group
//! has no more use for.
//!
//! The notice comes up to two minutes before the end. The worker then takes no new jobs and finishes those in hand. Without the
//! notice nothing would be lost either, because the jobs of a dead worker become visible again, only later. EC2 User Guide,
//! "Spot Instance interruption notices"; EC2 Auto Scaling User Guide, "Retrieve the target lifecycle state".

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use aws_client::credentials::Unavailable;
use aws_client::credentials::imds::Session;
use aws_client::env::Env;
use aws_client::error::Error;

use crate::support::log;
use crate::support::shutdown::Shutdown;

/// As often as AWS recommends.
const POLL: Duration = Duration::from_secs(5);

/// After this many failures at the start the machine is taken to be no EC2 instance.
const MAX_FAILURES: u32 = 12;

const SPOT: &str = "/latest/meta-data/spot/instance-action";
const LIFECYCLE: &str = "/latest/meta-data/autoscaling/target-lifecycle-state";

/// Whether a notice came. It is never unset, because EC2 does what it announces.
#[derive(Clone, Default)]
pub struct Interruption(Arc<AtomicBool>);

impl Interruption {
    /// Watches from a thread of its own, and requests the shutdown when a notice comes.
    pub fn watch(env: Env, shutdown: Shutdown) -> io::Result<Interruption> {
        let interruption = Interruption::default();
        let noticed = interruption.clone();
        thread::Builder::new().name("interruption".into()).spawn(move || {
            let Some(reason) = wait_for_notice(&env, &shutdown, POLL) else { return };
            noticed.0.store(true, Ordering::Relaxed);
            log::info("draining", &[("reason", &reason)]);
            shutdown.request();
        })?;
        Ok(interruption)
    }

    pub fn was_noticed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// None if the program is stopping for another reason, or if this is no EC2 instance.
fn wait_for_notice(env: &Env, shutdown: &Shutdown, poll: Duration) -> Option<String> {
    let (mut failures, mut on_ec2) = (0, false);
    loop {
        match notice(env) {
            Ok(Some(reason)) => return Some(reason),
            Ok(None) => on_ec2 = true,
            Err(reason) => {
                failures += 1;
                if !on_ec2 && failures >= MAX_FAILURES {
                    log::debug("no_interruption_notices", &[("reason", &reason)]);
                    return None;
                }
            }
        }
        if shutdown.wait_timeout(poll) {
            return None;
        }
    }
}

fn notice(env: &Env) -> Result<Option<String>, Error> {
    let session = Session::start(env).map_err(Unavailable::into_reason)?;
    if let Some(action) = session.get(SPOT)? {
        return Ok(Some(format!("spot interruption: {}", action.trim())));
    }
    let state = session.get(LIFECYCLE)?.unwrap_or_default();
    // In all other states (in service, standby, hibernated …) the machine goes on, or will go on.
    Ok(state
        .trim()
        .starts_with("Terminated")
        .then(|| "the Auto Scaling group terminates the instance".to_string()))
}

#[cfg(test)]
mod tests {
    use samples::loopback::{Loopback, ok};

    use super::*;

    fn nothing() -> String {
        "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n".to_string()
    }

    fn notice_of(answers: Vec<String>) -> Option<String> {
        let server = Loopback::answering(answers);
        let env = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url())].into_iter().collect();
        wait_for_notice(&env, &Shutdown::default(), Duration::ZERO)
    }

    #[test]
    fn a_spot_interruption_is_noticed() {
        let action = r#"{"action": "terminate", "time": "2026-11-24T08:22:00Z"}"#;
        let quiet = [ok("TOKEN"), nothing(), nothing()];
        let reason = notice_of([&quiet[..], &[ok("TOKEN"), ok(action)]].concat()).unwrap();
        assert!(reason.contains("spot") && reason.contains("08:22:00"), "{reason}");
    }

    #[test]
    fn a_termination_by_the_group_is_noticed() {
        let in_service = [ok("TOKEN"), nothing(), ok("InService")];
        let blip = ["HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n".to_string()];
        let terminated = [ok("TOKEN"), nothing(), ok("Terminated\n")];
        let reason = notice_of([&in_service[..], &blip, &blip, &in_service, &terminated].concat()).unwrap();
        assert!(reason.contains("Auto Scaling"), "{reason}");
    }

    #[test]
    fn elsewhere_it_gives_up() {
        let nobody = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")].into_iter().collect();
        assert_eq!(wait_for_notice(&nobody, &Shutdown::default(), Duration::ZERO), None);
        let off = [("AWS_EC2_METADATA_DISABLED", "true")].into_iter().collect();
        assert_eq!(wait_for_notice(&off, &Shutdown::default(), Duration::ZERO), None);
    }
}
