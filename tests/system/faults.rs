//! Each fault that can lie between our programs and the store, the queue or the metadata service, at each operation: once, and
//! for as long as the test says. A fault that happens once changes nothing for the client. One that lasts is 503 for a client
//! and a later try for a job; it leaves nothing behind, and when it ends the programs work again without a restart.
//!
//! An ordinary run does this with some of the faults; all of them, with the table, take minutes:
//! `FAULTS=all cargo test --test system faults -- --nocapture`.

use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use crate::audit::Audit;
use crate::curl::Reply;
use crate::engine::{Engine, engine};
use crate::imds::Imds;
use crate::pictures;
use crate::program::{Program, wait_until, wait_within};
use crate::relay::{Fault, Relay, Times};
use crate::request::Operation::{
    self, ChangeVisibility, Credentials, Delete, DeleteMessages, Get, Head, Put, Receive, Send,
};
use crate::stack::Stack;

/// A job that failed a third time comes back after 80 s.
const ALL_DONE_WITHIN: Duration = Duration::from_secs(240);

/// Longer than our programs wait for an answer.
const TOO_LATE: Duration = Duration::from_secs(5);

const LATE: Fault = Fault::Delay(Duration::from_millis(500));
const EXPIRED: Fault = Fault::Refuse(400, "ExpiredToken", "ExpiredTokenException");
const REFUSED: Fault = Fault::Refuse(403, "AccessDenied", "AccessDeniedException");

/// One of each kind, for every run of the tests.
pub(crate) const SOME: [Fault; 6] = [
    Fault::Silence,
    Fault::Reset,
    Fault::Refuse(503, "SlowDown", "ServiceUnavailable"),
    Fault::LostAnswer,
    Fault::ClockAhead(20 * 60),
    Fault::ClockAhead(-20 * 60),
];

/// The others.
pub(crate) const OTHERS: [Fault; 11] = [
    LATE,
    Fault::Delay(TOO_LATE),
    Fault::CutRequest,
    Fault::CutAnswer,
    Fault::ShortBody,
    Fault::Refuse(500, "InternalError", "InternalFailure"),
    Fault::Refuse(429, "TooManyRequestsException", "RequestThrottled"),
    Fault::Refuse(403, "RequestTimeTooSkewed", "RequestExpired"),
    Fault::Noise,
    Fault::WebPage,
    EXPIRED,
];

/// Operations that one stack goes through one after the other. Those that wait for a visibility timeout come first.
const GROUPS: [&[Operation]; 6] = [
    &[Receive],
    &[DeleteMessages],
    &[ChangeVisibility],
    &[Put, Head, Delete, Send],
    &[Get, Put],
    &[Credentials],
];

/// Groups under way at a time: they mostly wait. With twice as many the engine was slower on a busy machine than our programs
/// wait for it.
const AT_A_TIME: usize = 12;

/// The matrix has an engine to itself. `Silence` takes half of a call's time, and the second attempt must be answered in the
/// other half, whatever other tests ask of their engine.
fn own_engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(Engine::start)
}

#[test]
fn each_fault_at_each_operation() {
    let all = std::env::var("FAULTS").is_ok_and(|which| which == "all");
    let faults = SOME.into_iter().chain(OTHERS.into_iter().filter(|_| all));
    let groups = GROUPS
        .iter()
        .enumerate()
        .flat_map(|(at, group)| faults.clone().map(move |fault| (at, *group, fault)));
    let waiting: Mutex<Vec<_>> = Mutex::new(groups.rev().collect());
    let rows = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some((at, group, fault)) = { waiting.lock().unwrap().pop() } {
                    let found = match group[0] {
                        Credentials => of_metadata(fault),
                        Put => of_server(fault, group),
                        _ => of_worker(fault, group),
                    };
                    rows.lock().unwrap().extend(found.into_iter().map(|row| (at, row)));
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap();
    rows.sort();
    println!("{:28} {:24} {:14} {:14} after it", "at", "fault", "once", "lasting");
    for (_, row) in &rows {
        let [at, fault, once, lasting, after] = row;
        println!("{at:28} {fault:24} {once:14} {lasting:14} {after}");
    }
}

/// A line of the table: where, what, and what was seen when it happened once, while it lasted, and afterwards.
type Row = [String; 5];

fn row(program: &str, operation: Operation, fault: Fault, seen: [String; 3]) -> Row {
    let [once, lasting, after] = seen;
    [format!("{program} {operation:?}"), fault.to_string(), once, lasting, after]
}

impl Fault {
    /// Whether it can happen there. An answer to HEAD has no body, so it cannot blame a clock or credentials, or be a web page.
    /// The metadata service is on the same machine, and checks neither a clock nor credentials.
    fn can_be_at(self, operation: Operation) -> bool {
        match self {
            Fault::WebPage | Fault::ClockAhead(_) | Fault::Refuse(400 | 403, ..) => {
                !matches!(operation, Head | Credentials)
            }
            _ => true,
        }
    }

    /// Whether what was asked for is done, and only the answer is missing or late.
    fn takes_effect(self) -> bool {
        matches!(self, Fault::Delay(_) | Fault::CutAnswer | Fault::ShortBody | Fault::LostAnswer)
    }

    /// Whether the operation succeeds however long the fault lasts. A long poll waits longer than other requests, and an answer
    /// to HEAD has no body that could be short.
    fn is_harmless_at(self, operation: Operation) -> bool {
        match self {
            Fault::ClockAhead(_) => true,
            Fault::Delay(delay) => delay < TOO_LATE || operation == Receive,
            Fault::ShortBody => operation == Head,
            _ => false,
        }
    }
}

/// Uploads while the relay makes its faults, and then clears these. Returns the answer, and how many objects and jobs there are
/// more than before.
fn upload_and_look(stack: &Stack, url: &str, relay: &Relay, audit: &Audit) -> (Reply, usize, u64) {
    let look = || (own_engine().objects_in(&stack.bucket), stack.depth().visible);
    let (objects, jobs) = look();
    let reply = audit.upload(url, &pictures::jpeg(80, 60).into());
    relay.clear();
    relay.wait_for_late_ones();
    if reply.status != 202 {
        assert_eq!(reply.status, 503, "{reply:?}");
        assert!(reply.header("Retry-After").is_some(), "{reply:?}");
        assert!(reply.error().contains("try again"), "{reply:?}");
    }
    let (objects_now, jobs_now) = look();
    (reply, objects_now - objects, jobs_now - jobs)
}

/// A fault at an operation. But a clock is wrong for all of them, and not just once.
fn strike(relay: &Relay, operation: Operation, times: Times, fault: Fault) {
    match fault {
        Fault::ClockAhead(_) => relay.fault_at_any(Times::Always, fault),
        _ => relay.fault(operation, times, fault),
    }
}

/// Waits as a good client does.
fn heed(reply: &Reply) {
    let pause = reply.header("Retry-After").map_or(0, |seconds| seconds.parse().unwrap());
    thread::sleep(Duration::from_secs(pause));
}

fn of_server(fault: Fault, operations: &[Operation]) -> Vec<Row> {
    let relay = Relay::to(&own_engine().endpoint);
    let stack = Stack::on_through(own_engine(), &relay.url);
    let audit = Audit::default();
    let mut rows = Vec::new();
    for operation in operations.iter().copied().filter(|operation| fault.can_be_at(*operation)) {
        let context = format!("{fault} at {operation:?}");
        let upload = |times: Times| {
            match operation {
                Head => relay.fault(Put, Times::First(1), Fault::LostAnswer),
                Delete => relay.fault(Send, Times::Always, REFUSED),
                _ => {}
            }
            strike(&relay, operation, times, fault);
            upload_and_look(&stack, &stack.url, &relay, &audit)
        };
        let (once, objects, jobs) = upload(Times::First(1));
        // Where an original is taken back, its upload is refused in any case.
        assert_eq!(once.status, if operation == Delete { 503 } else { 202 }, "once: {context}");
        assert_eq!(objects, usize::from(once.status == 202), "once: {context}");
        assert!(if once.status == 202 { jobs >= 1 } else { jobs == 0 }, "once: {context}: {jobs} jobs");

        let (lasting, objects, jobs) = upload(Times::Always);
        let succeeds_anyway = match operation {
            Delete => false,
            // The second attempt meets the object of the first, and that is said by the status alone.
            Put if fault == Fault::ShortBody => true,
            _ => fault.is_harmless_at(operation),
        };
        assert_eq!(lasting.status, if succeeds_anyway { 202 } else { 503 }, "lasting: {context}");
        let stays = match operation {
            _ if succeeds_anyway => true,
            // Nobody knows its name: it cannot be taken back, or it came to be after it was.
            Send => fault == EXPIRED,
            Delete => !fault.is_harmless_at(operation) && !fault.takes_effect(),
            Put => fault == Fault::Delay(TOO_LATE),
            _ => false,
        };
        assert_eq!(objects, usize::from(stays), "lasting: {context}");
        let may_be_queued = succeeds_anyway || operation == Send && fault.takes_effect();
        assert!(may_be_queued == (jobs > 0), "lasting: {context}: {jobs} jobs");

        if fault == EXPIRED {
            heed(&lasting); // for so long the programs do not ask for others either
        }
        let (after, objects, jobs) = upload_and_look(&stack, &stack.url, &relay, &audit);
        assert_eq!((after.status, objects), (202, 1), "after: {context}");
        assert!(jobs >= 1, "after: {context}"); // one whose answer came too late was sent again
        let left = if stays && !succeeds_anyway { ", original stays" } else { "" };
        let seen = [once.status.to_string(), format!("{}{left}", lasting.status), after.status.to_string()];
        rows.push(row("server", operation, fault, seen));
    }
    stack.drain();
    nothing_is_wrong(&stack, &audit);
    rows
}

fn of_worker(fault: Fault, operations: &[Operation]) -> Vec<Row> {
    let relay = Relay::to(&own_engine().endpoint);
    let stack = Stack::on(own_engine(), &own_engine().endpoint);
    let audit = Audit::default();
    let mut worker = None;
    let mut rows = Vec::new();
    for operation in operations.iter().copied().filter(|operation| fault.can_be_at(*operation)) {
        let upload = || upload(&stack, &audit);
        // A job that fails once, so that there is a delay to ask for.
        let fail_once = || {
            if operation == ChangeVisibility {
                relay.fault(Get, Times::First(1), REFUSED);
            }
        };
        fail_once();
        strike(&relay, operation, Times::First(1), fault);
        let worker = worker.get_or_insert_with(|| {
            Program::start("worker", &[], &stack.with("AWS_ENDPOINT_URL", &relay.url))
        });
        let once = receives(worker, &upload());
        relay.clear();

        fail_once();
        strike(&relay, operation, Times::Always, fault);
        let sign = match operation {
            Receive => "receive_failed",
            DeleteMessages => "delete_failed",
            ChangeVisibility => "change_visibility_failed",
            _ => "job_failed",
        };
        let before = worker.count_lines_with(&[sign]);
        if operation == Receive {
            upload(); // for the long poll that is under way
        }
        let id = upload();
        if fault.is_harmless_at(operation) {
            receives(worker, &id);
        } else {
            wait_until(sign, || (worker.count_lines_with(&[sign]) > before).then_some(()));
        }
        relay.clear();
        let lasting = receives(worker, &id);
        let after = receives(worker, &upload());
        let done = |receives: String| format!("done at {receives}");
        rows.push(row("worker", operation, fault, [once, lasting, after].map(done)));
    }
    nothing_is_wrong(&stack, &audit);
    rows
}

/// An image's id.
fn upload(stack: &Stack, audit: &Audit) -> String {
    audit.upload(&stack.url, &pictures::jpeg(80, 60).into()).urls().id().to_string()
}

/// Waits until a job is done, and says how often it was received until then.
fn receives(worker: &Program, id: &str) -> String {
    let line = worker.line_with(&["info job ", id, "outcome=done"]);
    let (_, rest) = line.split_once("receives=").expect("it is said");
    rest.split(' ').next().unwrap_or_default().to_owned()
}

fn of_metadata(fault: Fault) -> Vec<Row> {
    if !fault.can_be_at(Credentials) {
        return Vec::new();
    }
    let relay = Relay::to(&Imds::start(&own_engine().role_credentials(3600)).url());
    let stack = Stack::on(own_engine(), &own_engine().endpoint);
    let audit = Audit::default();
    let rows =
        vec![credentials_of_server(fault, &relay, &stack, &audit), credentials_of_worker(fault, &relay)];
    stack.drain();
    nothing_is_wrong(&stack, &audit);
    rows
}

fn credentials_of_server(fault: Fault, relay: &Relay, stack: &Stack, audit: &Audit) -> Row {
    let seen = [Times::First(1), Times::Always].map(|times| {
        let server = Program::start("server", &[], &stack.on_ec2(&relay.url));
        let url = format!("http://{}", server.address());
        relay.fault(Credentials, times, fault);
        let (during, objects, _) = upload_and_look(stack, &url, relay, audit);
        let succeeds_anyway = matches!(times, Times::First(_)) || fault.is_harmless_at(Credentials);
        assert_eq!(
            (during.status, objects),
            if succeeds_anyway { (202, 1) } else { (503, 0) },
            "{fault}, {times:?}"
        );
        relay.clear();
        heed(&during); // for so long the programs do not ask again either
        let (after, objects, _) = upload_and_look(stack, &url, relay, audit);
        assert_eq!((after.status, objects), (202, 1), "after {fault}, {times:?}");
        (during.status.to_string(), after.status.to_string())
    });
    let [(once, _), (lasting, after)] = seen;
    row("server", Credentials, fault, [once, lasting, after])
}

/// A worker asks for credentials before its first job until it gets some. Each worker has a queue of its own: the long poll of a
/// worker that is killed may take a job with it, for half a minute.
fn credentials_of_worker(fault: Fault, relay: &Relay) -> Row {
    let seen = [Times::First(1), Times::Always].map(|times| {
        let stack = Stack::on(own_engine(), &own_engine().endpoint);
        let audit = Audit::default();
        relay.fault(Credentials, times, fault);
        let worker = Program::start("worker", &[], &stack.on_ec2(&relay.url));
        if !matches!(times, Times::First(_)) && !fault.is_harmless_at(Credentials) {
            worker.line_with(&["receive_failed"]);
            relay.clear();
        }
        let first = receives(&worker, &upload(&stack, &audit));
        relay.clear();
        let after = receives(&worker, &upload(&stack, &audit));
        nothing_is_wrong(&stack, &audit);
        (first, after)
    });
    let [(once, _), (lasting, after)] =
        seen.map(|(first, after)| (format!("done at {first}"), format!("done at {after}")));
    row("worker", Credentials, fault, [once, lasting, after])
}

/// All that was answered 202 is there, and no job is left or was given up.
fn nothing_is_wrong(stack: &Stack, audit: &Audit) {
    assert!(audit.nothing_is_lost() > 0);
    wait_within(ALL_DONE_WITHIN, "the queue is empty", || {
        thread::sleep(Duration::from_millis(300)); // many ask at a time
        stack.depth().is_empty().then_some(())
    });
    assert!(stack.nothing_was_given_up());
}

/// The seed that draws which requests meet a fault, so that the storm is equally strong in each run.
const STORM_SEED: u64 = 1124;

/// All of them together, on both sides, a third of the requests.
#[test]
fn a_storm() {
    let relay = Relay::to(&engine().endpoint);
    let stack = Stack::through(&relay.url);
    let worker = Program::start("worker", &[], &stack.with("AWS_ENDPOINT_URL", &relay.url));
    let audit = Audit::default();
    let in_a_storm =
        |fault: &&Fault| !matches!(**fault, Fault::Silence | Fault::ClockAhead(_) | Fault::WebPage | EXPIRED);
    for (number, fault) in (0..).zip(SOME.iter().chain(&OTHERS).filter(in_a_storm)) {
        relay.fault_at_any(Times::Percent(3, STORM_SEED + number), *fault);
    }
    let picture: Arc<[u8]> = pictures::jpeg(400, 300).into();
    let refused: usize = thread::scope(|scope| {
        let client = || (0..12).filter(|_| audit.upload(&stack.url, &picture).status != 202).count();
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(client)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    relay.clear();
    let accepted = audit.nothing_is_lost();
    assert_eq!(accepted + refused, 48);
    assert!(accepted > refused, "retries help most of them");
    nothing_is_wrong(&stack, &audit);
    let objects = engine().objects_in(&stack.bucket);
    println!(
        "{} requests, {accepted} uploads accepted, {refused} refused, {} jobs failed at first, {} objects of images that \
         nobody knows of",
        relay.heard_all().len(),
        worker.count_lines_with(&["job_failed"]),
        objects - 4 * accepted,
    );
    // One that is refused may have been queued, when the answer was lost, and done before it was taken back.
    assert!(objects - 4 * accepted <= 4 * refused);
}
