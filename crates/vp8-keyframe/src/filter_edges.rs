//! The arithmetic of the loop filter at one edge (RFC 6386, sections 15.2 and 15.3).
//!
//! The eight pixels across an edge are called p3 p2 p1 p0 | q0 q1 q2 q3, as in the RFC. Each is an array here, of sixteen
//! places along the edge. There are no branches, so the compiler makes vector instructions of the loops.

// Loops over fixed arrays by index are what the compiler turns into vectors.
#![allow(clippy::needless_range_loop)]

use crate::filter::FilterStrength;

/// Sixteen pixels at the same distance from an edge.
pub(crate) type Line = [u8; 16];

/// How much higher a step may be between macroblocks than within one and still be smoothed.
const MACROBLOCK_EXTRA: u8 = 4;

/// Filters the edge before line number `at`, between two macroblocks or within one.
#[inline(always)]
pub(crate) fn filter_edge<const MACROBLOCK: bool>(
    lines: &mut [Line],
    at: usize,
    strength: FilterStrength,
    simple: bool,
) {
    let Some(lines) = lines.get_mut(at - 4..).and_then(|lines| lines.first_chunk_mut::<8>()) else { return };
    let edge_limit = strength.edge_limit + if MACROBLOCK { MACROBLOCK_EXTRA } else { 0 };
    if simple {
        filter_simple(lines, edge_limit);
    } else {
        filter_normal::<MACROBLOCK>(lines, edge_limit, strength);
    }
}

/// The simple filter (section 15.2).
#[inline(never)]
fn filter_simple(lines: &mut [Line; 8], edge_limit: u8) {
    let [_, _, p1s, p0s, q0s, q1s, _, _] = lines;
    for i in 0..16 {
        let [p1, p0, q0, q1] = [p1s[i], p0s[i], q0s[i], q1s[i]];
        let filtered = mask(edge_step(p1, p0, q0, q1) <= edge_limit);
        let change = common_change(signed(p1), signed(p0), signed(q0), signed(q1), -1) & filtered;
        p0s[i] = unsigned(signed(p0).saturating_add(change.saturating_add(3) >> 3));
        q0s[i] = unsigned(signed(q0).saturating_sub(change.saturating_add(4) >> 3));
    }
}

/// The normal filter (section 15.3).
#[inline(never)]
fn filter_normal<const MACROBLOCK: bool>(lines: &mut [Line; 8], edge_limit: u8, strength: FilterStrength) {
    let FilterStrength { interior_limit, high_variance, .. } = strength;
    let [p3s, p2s, p1s, p0s, q0s, q1s, q2s, q3s] = lines;
    for i in 0..16 {
        let [p3, p2, p1, p0] = [p3s[i], p2s[i], p1s[i], p0s[i]];
        let [q0, q1, q2, q3] = [q0s[i], q1s[i], q2s[i], q3s[i]];
        let beside = p1.abs_diff(p0).max(q1.abs_diff(q0));
        let further = p3.abs_diff(p2).max(p2.abs_diff(p1)).max(q2.abs_diff(q1)).max(q3.abs_diff(q2));
        let high = mask(beside > high_variance);
        let filtered =
            mask(edge_step(p1, p0, q0, q1) <= edge_limit) & mask(beside.max(further) <= interior_limit);
        let [p2, p1, p0] = [p2, p1, p0].map(signed);
        let [q0, q1, q2] = [q0, q1, q2].map(signed);
        if MACROBLOCK {
            let change = common_change(p1, p0, q0, q1, -1) & filtered;
            let (sharp, smooth) = (change & high, change & !high);
            let p0 = p0.saturating_add(sharp.saturating_add(3) >> 3);
            let q0 = q0.saturating_sub(sharp.saturating_add(4) >> 3);
            let part = |ninths: i16| ((ninths * i16::from(smooth) + 63) >> 7) as i8;
            let (near, middle, far) = (part(27), part(18), part(9));
            p2s[i] = unsigned(p2.saturating_add(far));
            p1s[i] = unsigned(p1.saturating_add(middle));
            p0s[i] = unsigned(p0.saturating_add(near));
            q0s[i] = unsigned(q0.saturating_sub(near));
            q1s[i] = unsigned(q1.saturating_sub(middle));
            q2s[i] = unsigned(q2.saturating_sub(far));
        } else {
            let change = common_change(p1, p0, q0, q1, high) & filtered;
            let near = change.saturating_add(4) >> 3;
            let beside = ((near + 1) >> 1) & !high;
            p1s[i] = unsigned(p1.saturating_add(beside));
            p0s[i] = unsigned(p0.saturating_add(change.saturating_add(3) >> 3));
            q0s[i] = unsigned(q0.saturating_sub(near));
            q1s[i] = unsigned(q1.saturating_sub(beside));
        }
    }
}

/// The height of the step across the edge: twice the difference of the two pixels at it, and half that of the next two.
#[inline(always)]
fn edge_step(p1: u8, p0: u8, q0: u8, q1: u8) -> u8 {
    let step = p0.abs_diff(q0);
    step.saturating_add(step).saturating_add(p1.abs_diff(q1) >> 1)
}

/// Three times the difference of the two pixels at the edge. Where `outer` has its bits set, the opposite difference of the next
/// two is added.
#[inline(always)]
fn common_change(p1: i8, p0: i8, q0: i8, q1: i8, outer: i8) -> i8 {
    let step = q0.saturating_sub(p0);
    (p1.saturating_sub(q1) & outer).saturating_add(step).saturating_add(step).saturating_add(step)
}

#[inline(always)]
fn mask(condition: bool) -> i8 {
    -i8::from(condition)
}

#[inline(always)]
fn signed(pixel: u8) -> i8 {
    (pixel ^ 0x80) as i8
}

#[inline(always)]
fn unsigned(pixel: i8) -> u8 {
    pixel as u8 ^ 0x80
}
