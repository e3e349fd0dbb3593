//! Half an hour of work, and of bad luck. At the end the programs are no larger than after the first sixth, and nothing is lost.
//!
//! `SOAK_SECONDS=1800 cargo test --test system soak -- --nocapture 2>/dev/null` is the half hour; without the variable it is
//! less than half a minute.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use image_sharer::domain::store::Store;
use rustix::process::{Pid, Signal, kill_process};

use crate::audit::Audit;
use crate::curl::Urls;
use crate::engine::Engine;
use crate::faults::SOME;
use crate::load::{Answers, Load, number_from, seeded};
use crate::process::{descriptors, status_of, threads};
use crate::program::{Program, free_port, wait_until, wait_within};
use crate::relay::{Fault, Relay, Times};
use crate::stack::Stack;
use samples::mutate::Random;

/// How long it takes unless `SOAK_SECONDS` says otherwise.
const DEFAULT_SECONDS: usize = 24;

/// Half of them upload to either server.
const CLIENTS: usize = 4;

/// The part of the time in which clients upload as fast as they can, to measure that.
const MEASURED_PART: u32 = 12;

/// The load after that, in per cent of what was measured.
const LOAD_PERCENT: u32 = 70;

/// Between two faults, in milliseconds, at most.
const QUIET_MS: usize = 6000;

/// The longest that the engine stands still, in milliseconds. A client waits for no longer than that.
const LONGEST_PAUSE_MS: usize = 3000;

/// How many requests are cut at a time: about as many as are under way.
const CUT_AT_A_TIME: usize = 8;

/// How much a program may have grown: the allocator keeps some of what threads have freed.
const GROWTH_KIB: u64 = 16 * 1024;

const ALL_DONE_WITHIN: Duration = Duration::from_secs(180);

/// What must not grow.
#[derive(Clone, Copy, Debug)]
struct Size {
    resident_kib: u64,
    threads: usize,
    descriptors: usize,
}

fn size_of(program: &Program) -> Size {
    let id = program.id();
    Size { resident_kib: status_of(id, "VmRSS:"), threads: threads(id), descriptors: descriptors(id) }
}

/// How often each harm was done.
#[derive(Debug, Default)]
struct Harm {
    workers_killed: usize,
    servers_killed: usize,
    engine_paused: usize,
    connections_cut: usize,
    /// Of [`SOME`], until the next harm.
    faults: usize,
}

/// The service, and a way to the engine that can be cut.
struct Soak {
    engine: &'static Engine,
    relay: Relay,
    stack: Stack,
    /// The second server, which is killed again and again, and its environment.
    second: Program,
    second_environment: Vec<(String, String)>,
    urls: [String; 2],
    /// The second one is killed again and again.
    workers: [Program; 2],
    harm: Harm,
    checked: Vec<Urls>,
}

impl Soak {
    fn start() -> Soak {
        let engine: &'static Engine = Box::leak(Box::new(Engine::start()));
        let relay = Relay::to(&engine.endpoint);
        let mut stack = Stack::on(engine, &engine.endpoint);
        stack.environment = stack.with("AWS_ENDPOINT_URL", &relay.url);
        stack.restart_server(); // which is to go by the relay too
        let address = format!("127.0.0.1:{}", free_port());
        let second_environment = stack.with("LISTEN", &address);
        let second = Program::start("server", &[], &second_environment);
        let urls = [stack.server.address(), second.address()].map(|address| format!("http://{address}"));
        let workers = [stack.worker(), stack.worker()];
        let (harm, checked) = (Harm::default(), Vec::new());
        Soak { engine, relay, stack, second, second_environment, urls, workers, harm, checked }
    }

    /// All clients.
    fn load(&self, pace: Duration, audit: &Arc<Audit>) -> [Load; 2] {
        self.urls.each_ref().map(|url| Load::start(CLIENTS / 2, pace, url, audit))
    }

    fn do_harm(&mut self, random: &mut Random) {
        self.relay.clear();
        match random.below(5) {
            0 => {
                self.workers[1].kill();
                self.workers[1] = self.stack.worker();
                self.harm.workers_killed += 1;
            }
            1 => {
                self.second.kill();
                self.second = Program::start("server", &[], &self.second_environment);
                self.second.address();
                self.harm.servers_killed += 1;
            }
            2 => {
                let fault = SOME[random.below(SOME.len())];
                match fault {
                    // A clock is wrong for all of them.
                    Fault::ClockAhead(_) => self.relay.fault_at_any(Times::Always, fault),
                    _ => self.relay.fault_at_any(Times::First(CUT_AT_A_TIME), fault),
                }
                self.harm.faults += 1;
            }
            3 => {
                let engine = Pid::from_raw(self.engine.id() as i32).expect("a process");
                kill_process(engine, Signal::STOP).unwrap();
                thread::sleep(Duration::from_millis(random.below(LONGEST_PAUSE_MS) as u64));
                kill_process(engine, Signal::CONT).unwrap();
                self.harm.engine_paused += 1;
            }
            _ => {
                self.relay.fault_at_any(Times::First(CUT_AT_A_TIME), Fault::Reset);
                self.harm.connections_cut += 1;
            }
        }
    }

    /// The first server's and the first worker's.
    fn sizes(&self) -> [Size; 2] {
        [size_of(&self.stack.server), size_of(&self.workers[0])]
    }

    /// Makes sure of all that was answered 202 until now. Takes away what the last look found, or the engine would be full.
    fn check(&mut self, audit: &Audit) -> usize {
        let store = self.stack.store();
        for url in self.checked.iter().flat_map(all) {
            let key =
                url.splitn(5, '/').nth(4).and_then(|key| key.parse().ok()).expect("a key after the bucket");
            store.delete(&key).unwrap();
        }
        self.checked = nothing_is_lost_so_far(audit);
        self.checked.len()
    }
}

/// The URLs of an upload's objects.
fn all(urls: &Urls) -> [&str; 4] {
    [&urls.original, &urls.small, &urls.medium, &urls.large]
}

/// Makes sure of all that was answered 202 until now, and forgets it: the caller takes these objects away.
fn nothing_is_lost_so_far(audit: &Audit) -> Vec<Urls> {
    let so_far = std::mem::take(&mut *audit.accepted.lock().unwrap());
    audit.check_all(&so_far, str::to_owned);
    so_far.into_iter().map(|(urls, _)| urls).collect()
}

/// How often each client may upload for the load that is wanted.
fn pace(soak: &Soak, audit: &Arc<Audit>, time: Duration) -> Duration {
    let began = Instant::now();
    let load = soak.load(Duration::ZERO, audit);
    thread::sleep(time);
    wait_until("something is measured", || (audit.accepted() >= CLIENTS).then_some(()));
    let accepted = stopped(load).accepted as u32;
    wait_within(ALL_DONE_WITHIN, "the jobs are done", || soak.stack.depth().is_empty().then_some(()));
    began.elapsed() * 100 / LOAD_PERCENT * CLIENTS as u32 / accepted
}

fn stopped(load: [Load; 2]) -> Answers {
    let [first, second] = load.map(Load::stop);
    first + second
}

#[test]
fn nothing_grows_and_nothing_is_lost() {
    let mut random = seeded();
    let time = Duration::from_secs(number_from("SOAK_SECONDS", DEFAULT_SECONDS) as u64);
    let (mut soak, audit) = (Soak::start(), Arc::new(Audit::default()));
    let pace = pace(&soak, &audit, time / MEASURED_PART);
    let before = soak.check(&audit);
    let mut checked = before;

    let (began, load) = (Instant::now(), soak.load(pace, &audit));
    let (mut at_a_sixth, mut last_check) = (None, began);
    while began.elapsed() < time {
        thread::sleep(Duration::from_millis(random.below(QUIET_MS) as u64));
        soak.do_harm(&mut random);
        if at_a_sixth.is_none() && began.elapsed() > time / 6 {
            at_a_sixth = Some(soak.sizes());
        }
        // A check may take long: it waits for the jobs of a worker that was killed.
        if at_a_sixth.is_some() && last_check.elapsed() > time / MEASURED_PART {
            checked += soak.check(&audit);
            last_check = Instant::now();
        }
    }
    soak.relay.clear();
    let at_the_end = soak.sizes();
    let answers = stopped(load);
    wait_within(ALL_DONE_WITHIN, "all jobs are done", || soak.stack.depth().is_empty().then_some(()));
    checked += soak.check(&audit);
    checked += soak.check(&audit); // takes the last away too
    let tally = audit.tally(|| soak.stack.objects());
    println!(
        "{time:?} with {pace:?} from upload to upload of each of {CLIENTS} clients, {:?}: {answers:?}",
        soak.harm
    );
    println!("{checked} uploads are whole; what is left besides: {tally}");
    assert_eq!(checked, before + answers.accepted);
    assert!(tally.lost == 0 && tally.unfinished == 0 && tally.wrong.is_empty(), "{tally:?}");
    assert!(soak.stack.given_up().is_empty(), "no job is given up");
    let at_a_sixth = at_a_sixth.expect("it was longer than that");
    for (name, (sixth, end)) in ["server", "worker"].into_iter().zip(at_a_sixth.into_iter().zip(at_the_end)) {
        println!("{name}: {sixth:?} after a sixth, {end:?} at the end");
        assert!(end.resident_kib <= sixth.resident_kib + GROWTH_KIB, "{name}: {sixth:?}, {end:?}");
        assert!(end.threads <= sixth.threads + CLIENTS, "{name}: {sixth:?}, {end:?}");
        assert!(end.descriptors <= sixth.descriptors + 4 * CLIENTS, "{name}: {sixth:?}, {end:?}");
    }
}
