//! Half an hour of work, and of bad luck: `SOAK_SECONDS=1800 cargo test --test it soak -- --nocapture 2>/dev/null`. At the end
//! the programs are no larger than after the first sixth, and nothing is lost.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use image_sharer::store::Store;
use rustix::process::{Pid, Signal, kill_process};

use crate::audit::Audit;
use crate::curl::Urls;
use crate::engine::Engine;
use crate::fuzz::Random;
use crate::load::{Load, number_from, seeded};
use crate::process::{descriptors, status_of, threads};
use crate::program::{Program, wait_within};
use crate::relay::{Fault, Relay, Times};
use crate::stack::Stack;

/// Unless `SOAK_SECONDS` says otherwise.
const DEFAULT_SECONDS: usize = 24;

const CLIENTS: usize = 4;

/// Of the time, to see how fast all is when nobody holds back.
const MEASURED_PART: u32 = 12;

/// Of what all could do.
const LOAD_PERCENT: u32 = 70;

/// Between two faults, in milliseconds, at most.
const QUIET_MS: usize = 6000;

/// The longest that the engine stands still, in milliseconds. A client waits for no longer than that.
const LONGEST_PAUSE_MS: usize = 3000;

/// As many as there are under way, more or less.
const CUT_AT_A_TIME: usize = 8;

/// What a program may have grown by: the allocator keeps what threads have freed, more or less of it.
const GROWTH_KIB: u64 = 16 * 1024;

const ALL_DONE_WITHIN: Duration = Duration::from_secs(180);

/// What does not grow.
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

/// How often each fault was done.
#[derive(Debug, Default)]
struct Faults {
    workers_killed: usize,
    engine_paused: usize,
    connections_cut: usize,
}

/// The service, and a way to the engine that can be cut.
struct Soak {
    engine: &'static Engine,
    relay: Relay,
    stack: Stack,
    /// The second is the one that is killed.
    workers: [Program; 2],
    faults: Faults,
    checked: Vec<Urls>,
}

impl Soak {
    fn start() -> Soak {
        let engine: &'static Engine = Box::leak(Box::new(Engine::start()));
        let relay = Relay::to(&engine.endpoint);
        let mut stack = Stack::on(engine, &engine.endpoint);
        stack.environment = stack.with("AWS_ENDPOINT_URL", &relay.url);
        stack.settle_server();
        let workers = [stack.worker(), stack.worker()];
        Soak { engine, relay, stack, workers, faults: Faults::default(), checked: Vec::new() }
    }

    fn do_harm(&mut self, random: &mut Random) {
        match random.below(3) {
            0 => {
                self.workers[1].kill();
                self.workers[1] = self.stack.worker();
                self.faults.workers_killed += 1;
            }
            1 => {
                let engine = Pid::from_raw(self.engine.id() as i32).expect("a process");
                kill_process(engine, Signal::STOP).unwrap();
                thread::sleep(Duration::from_millis(random.below(LONGEST_PAUSE_MS) as u64));
                kill_process(engine, Signal::CONT).unwrap();
                self.faults.engine_paused += 1;
            }
            _ => {
                self.relay.fault_at_any(Times::First(CUT_AT_A_TIME), Fault::Reset);
                self.faults.connections_cut += 1;
            }
        }
    }

    /// The server's and the first worker's.
    fn sizes(&self) -> [Size; 2] {
        [size_of(&self.stack.server), size_of(&self.workers[0])]
    }

    /// Makes sure of all that was answered 202 until now. Takes away what the last look found, or the engine would be full.
    fn check(&mut self, audit: &Audit) -> usize {
        let store = self.stack.store();
        for url in self.checked.iter().flat_map(|urls| urls.all()) {
            let key =
                url.splitn(5, '/').nth(4).and_then(|key| key.parse().ok()).expect("a key after the bucket");
            store.delete(&key).unwrap();
        }
        self.checked = audit.nothing_is_lost_so_far();
        self.checked.len()
    }
}

/// How often each client may upload for the load that is wanted.
fn pace(soak: &Soak, audit: &Arc<Audit>, time: Duration) -> Duration {
    let began = Instant::now();
    let load = Load::start(CLIENTS, Duration::ZERO, &soak.stack.url, audit);
    thread::sleep(time);
    let accepted = load.stop().accepted as u32;
    wait_within(ALL_DONE_WITHIN, "the jobs are done", || soak.stack.depth().is_empty().then_some(()));
    began.elapsed() * 100 / LOAD_PERCENT * CLIENTS as u32 / accepted
}

#[test]
fn nothing_grows_and_nothing_is_lost() {
    let mut random = seeded();
    let time = Duration::from_secs(number_from("SOAK_SECONDS", DEFAULT_SECONDS) as u64);
    let (mut soak, audit) = (Soak::start(), Arc::new(Audit::default()));
    let pace = pace(&soak, &audit, time / MEASURED_PART);
    let before = soak.check(&audit);
    let mut checked = before;

    let (began, load) = (Instant::now(), Load::start(CLIENTS, pace, &soak.stack.url, &audit));
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
    let at_the_end = soak.sizes();
    let answers = load.stop();
    wait_within(ALL_DONE_WITHIN, "all jobs are done", || soak.stack.depth().is_empty().then_some(()));
    checked += soak.check(&audit);
    checked += soak.check(&audit); // takes the last away too
    let tally = audit.tally(|| soak.stack.objects());
    println!(
        "{time:?} with {pace:?} from upload to upload of each of {CLIENTS} clients, {:?}: {answers:?}",
        soak.faults
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
