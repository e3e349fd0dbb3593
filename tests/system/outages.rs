//! SIGKILL and a new start of the store and the queue, while clients upload: our programs go on without help.

use std::sync::Arc;
use std::time::Duration;

use crate::audit::Audit;
use crate::durable::Durable;
use crate::load::{Load, number_from};
use crate::program::{Program, wait_until, wait_within};
use crate::stack::Stack;

/// Unless `OUTAGES` says otherwise.
const DEFAULT_OUTAGES: usize = 1;

const CLIENTS: usize = 3;

/// The least time between two uploads of a client.
const PACE: Duration = Duration::from_millis(100);

/// A worker looks up again after at most 32 s, and a job that has failed waits up to 20.
const ALL_DONE_WITHIN: Duration = Duration::from_secs(120);

#[test]
fn the_engine_is_killed_under_load_and_comes_back() {
    let outages = number_from("OUTAGES", DEFAULT_OUTAGES);
    let mut durable = Durable::roto();
    let mut stack = Stack::on(durable.engine, &durable.engine.endpoint);
    let mut worker = stack.worker();
    let audit = Arc::new(Audit::default());
    let load = Load::start(CLIENTS, PACE, &stack.url, &audit);
    let accepted = |server: &Program| server.count_lines_with(&["info upload", "status=202"]);
    for _ in 0..outages {
        let before = accepted(&stack.server);
        wait_until("uploads go well", || (accepted(&stack.server) > before + 20).then_some(()));
        let before = stack.server.count_lines_with(&["error unavailable"]);
        durable.kill();
        wait_until("uploads are turned away", || {
            (stack.server.count_lines_with(&["error unavailable"]) >= before + CLIENTS).then_some(())
        });
        durable.start_again();
    }
    let before = accepted(&stack.server);
    wait_until("uploads go well again", || (accepted(&stack.server) > before + 20).then_some(()));
    let answers = load.stop();
    wait_within(ALL_DONE_WITHIN, "all jobs are done", || stack.depth().is_empty().then_some(()));
    let tally = audit.tally(|| stack.objects());
    println!("{outages} kills of the engine; {answers:?}; {tally}");
    assert!(tally.lost == 0 && tally.unfinished == 0 && tally.wrong.is_empty(), "{tally:?}");
    assert_eq!(tally.accepted, answers.accepted);
    assert!(answers.turned_away > 0 && answers.unanswered == 0, "{answers:?}");
    assert!(stack.server.is_running() && worker.is_running(), "they were not started again");
    assert!(stack.given_up().is_empty(), "no job is given up");
}
