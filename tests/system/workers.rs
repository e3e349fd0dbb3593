//! What the Auto Scaling group does for a backlog: a second worker on a machine of its own, and then the end of the first.
//!
//! The machines share nothing but the queue and the store: each is alone in a network, and only the engine can be reached from
//! it, by a [relay](crate::relay).

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use ::pictures::Fit;
use image_sharer::aws::SqsQueue;
use image_sharer::domain::format::{MAX_IMAGE_BYTES, ThumbnailFormat};
use image_sharer::domain::queue::{Depth, Queue};
use image_sharer::domain::size::Size;
use jpeg_encoder::{Encoder, ImageBuffer, JpegColorType, SamplingFactor};

use crate::curl::{Urls, curl, upload};
use crate::engine::engine;
use crate::machines::Machine;
use crate::pictures::look;
use crate::program::{Program, wait_until};
use crate::stack::Stack;

/// Uploaded in turns.
const PICTURES: usize = 4;

/// Enough for all measurements, and for both workers to be busy when the first is killed.
const UPLOADS: usize = 66;

/// Jobs to measure a rate over, for each worker.
const MEASURED: usize = 10;

/// `MAX_PIXELS`, as it is unless set.
const MAX_PIXELS: u64 = 40_000_000;

/// A camera's 24 megapixels: blotches of a tint, each with a slope and a grain.
struct Photograph {
    tint: u32,
}

impl ImageBuffer for Photograph {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        6000
    }

    fn height(&self) -> u16 {
        4000
    }

    fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
        let hash = |x: u32, y: u32| (x ^ (y << 12) ^ (self.tint << 24)).wrapping_mul(0x9e37_79b1) >> 16;
        let y = u32::from(y);
        for x in 0..6000 {
            let blotch = hash(x / 96, y / 96);
            let grain = hash(x / 4, y / 4 + 2000) % 12;
            buffers[0].push((40 + blotch % 128 + (x % 96) / 2 + grain) as u8);
            buffers[1].push((64 + 32 * self.tint + blotch % 16) as u8);
            buffers[2].push((160 - 32 * self.tint + blotch % 24) as u8);
        }
    }
}

/// Progressive, which is slow, and as much of it as may be uploaded.
fn photograph(tint: usize) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 50);
    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    encoder.set_optimized_huffman_tables(true);
    encoder.set_progressive_scans(4);
    encoder.encode_image(Photograph { tint: tint as u32 }).unwrap();
    assert!(file.len() <= MAX_IMAGE_BYTES, "{} bytes", file.len());
    file
}

/// The queue, and what the workers have done, over time.
struct Watch {
    queue: SqsQueue,
    began: Instant,
    last: Cell<Option<(Instant, Depth)>>,
}

type Workers<'a> = [Option<&'a Program>; 2];

fn done(workers: Workers) -> [usize; 2] {
    workers.map(|worker| worker.map_or(0, |worker| worker.count_lines_with(&["info job ", "outcome=done"])))
}

impl Watch {
    /// How many jobs there are. Prints it with what the workers have done, once a second if it is something new.
    fn look(&self, workers: Workers) -> Depth {
        let (depth, now) = (self.queue.depth().unwrap(), Instant::now());
        let printed = |(last, as_now)| now - last < Duration::from_secs(1) || as_now == depth;
        if !self.last.get().is_some_and(printed) {
            let seconds = (now - self.began).as_secs_f64();
            let Depth { visible, in_flight, .. } = depth;
            println!(
                "{seconds:4.1} s: backlog {visible}, in hand {in_flight}, done by each {:?}",
                done(workers)
            );
            self.last.set(Some((now, depth)));
        }
        depth
    }

    /// Jobs done in a second, by all workers together.
    fn rate(&self, workers: Workers) -> f64 {
        let count = || done(workers).iter().sum::<usize>();
        let (before, began) = (count(), Instant::now());
        let enough = MEASURED * workers.iter().flatten().count();
        let jobs = wait_until("jobs are done", || {
            self.look(workers);
            Some(count() - before).filter(|jobs| *jobs >= enough)
        });
        jobs as f64 / began.elapsed().as_secs_f64()
    }
}

/// The ids in the worker's lines that contain all of `parts`.
fn ids(worker: &Program, parts: &[&str]) -> Vec<String> {
    let id =
        |line: String| line.split_once(" id=").and_then(|(_, rest)| Some(rest.split_once(' ')?.0.to_owned()));
    worker.lines_with(parts).into_iter().filter_map(id).collect()
}

#[test]
fn a_second_worker_shortens_the_backlog_and_outlives_the_first() {
    let machines = [0, 1].map(Machine::new);
    let stack = Stack::start();
    for machine in &machines {
        let unconnected = machine.start("worker", &stack.environment);
        unconnected.line_with(&["receive_failed", "onnection refused"]);
        drop(unconnected);
        machine.connect(&engine().endpoint);
    }
    let start = |machine: &Machine| {
        let worker = machine.start("worker", &stack.environment);
        worker.line_with(&["working", "jobs=8 cores=1"]);
        worker
    };

    // More has come than one worker can do in no time.
    let pictures: Vec<Vec<u8>> = (0..PICTURES).map(photograph).collect();
    let watch =
        Watch { queue: stack.queue(&stack.queues.jobs), began: Instant::now(), last: Cell::default() };
    let mut uploads: Vec<(Urls, &Vec<u8>)> = Vec::new();
    for picture in pictures.iter().cycle().take(UPLOADS) {
        uploads.push((upload(&stack.url, picture).urls(), picture));
        watch.look([None, None]);
    }
    let mut first = start(&machines[0]);
    let alone = watch.rate([Some(&first), None]);

    // Another.
    let second = start(&machines[1]);
    let network = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).unwrap();
    let networks = BTreeSet::from([first.id(), second.id()].map(|id| network(&id.to_string())));
    assert!(networks.len() == 2 && !networks.contains(&network("self")), "{networks:?}");
    let workers = [Some(&first), Some(&second)];
    wait_until("the second works", || {
        watch.look(workers);
        (done(workers)[1] > 0).then_some(())
    });
    let both = watch.rate(workers);

    // The first is gone, with its hands full.
    let left = watch.look(workers);
    assert!(left.visible > 0 && left.in_flight > 0, "{left:?}");
    first.kill();
    println!("{:4.1} s: the first is killed", watch.began.elapsed().as_secs_f64());
    let workers = [Some(&first), Some(&second)];
    wait_until("only what the first had in hand is left", || {
        (watch.look(workers).visible == 0).then_some(())
    });
    wait_until("that is done too", || watch.look(workers).is_empty().then_some(()));
    let [by_first, by_second] = done(workers);
    println!(
        "{UPLOADS} uploads of 24 megapixels: {by_first} jobs by the first, {by_second} by the second, all after {:.0} s",
        watch.began.elapsed().as_secs_f64()
    );
    println!("jobs a second: {alone:.1} by the first alone, {both:.1} by both");
    nothing_is_lost(&first, &second, &uploads);
    assert!(stack.queue(&stack.queues.dead).depth().unwrap().is_empty(), "no job is given up");
}

/// Each job was done, and done again only if it was in hand when the first worker was killed; and each thumbnail is there.
fn nothing_is_lost(first: &Program, second: &Program, uploads: &[(Urls, &Vec<u8>)]) {
    let id_of = |urls: &Urls| urls.small.rsplit('/').nth(1).expect("an id").to_owned();
    let uploaded: BTreeSet<String> = uploads.iter().map(|(urls, _)| id_of(urls)).collect();
    let (by_first, by_second, by_any) = wait_until("the last line is read", || {
        let [by_first, by_second] = [first, second].map(|worker| ids(worker, &["info job ", "outcome=done"]));
        let by_any: BTreeSet<String> = by_first.iter().chain(&by_second).cloned().collect();
        (by_any.len() >= uploaded.len()).then_some((by_first, by_second, by_any))
    });
    assert!(!by_first.is_empty() && !by_second.is_empty());
    assert_eq!(by_any, uploaded);
    let came_back = ids(second, &["info job ", "outcome=done", "receives=2"]);
    let twice = by_first.len() + by_second.len() - uploaded.len();
    println!("{} came back from the dead, {twice} of them were done by both", came_back.len());
    assert!(!came_back.is_empty(), "it had none in hand");
    let by_both = by_first.iter().filter(|id| by_second.contains(id));
    assert_eq!(by_both.filter(|id| came_back.contains(id)).count(), twice, "others were done twice");

    let mut made: BTreeMap<&[u8], [Vec<u8>; 3]> = BTreeMap::new();
    for (urls, original) in uploads {
        let expected = made.entry(original.as_slice()).or_insert_with(|| {
            let made =
                ::pictures::thumbnails(original, ThumbnailFormat::Jpeg, Fit::Cover, Size::SIDES, MAX_PIXELS)
                    .unwrap();
            for ((_, side), file) in urls.thumbnails().into_iter().zip(&made.files) {
                assert_eq!(look(file), ("jpg", side, side));
            }
            made.files
        });
        assert!(curl(&[&urls.original]).body == **original, "{} is another picture", urls.original);
        for ((url, _), expected) in urls.thumbnails().into_iter().zip(expected) {
            let reply = curl(&[url]);
            assert_eq!((reply.status, reply.header("Content-Type")), (200, Some("image/jpeg")), "{url}");
            assert!(reply.body == *expected, "{url} is not of its picture");
        }
    }
    let different: BTreeSet<&[Vec<u8>; 3]> = made.values().collect();
    assert_eq!(different.len(), PICTURES, "or a mistake would not be seen");
}
