//! Makes a failing life small: takes out what isn't needed for it to fail.

use crate::life::{How, live};
use crate::plan::{MINUTE, Plan};

/// No more lives than this are lived for it.
const PATIENCE: u32 = 400;

/// The smallest life found that breaks the same promise.
pub(crate) fn shrink(plan: &Plan, promise: &str) -> Plan {
    let mut lives = 0;
    let mut fails = |candidate: &Plan| {
        lives += 1;
        lives <= PATIENCE
            && live(candidate, How::default())
                .verdict
                .is_err_and(|broken| broken.promise == promise)
    };
    let mut best = plan.clone();
    loop {
        let before = size(&best);
        take_out_happenings(&mut best, &mut fails);
        take_out_devices(&mut best, &mut fails);
        shorten(&mut best, &mut fails);
        if size(&best) >= before {
            return best;
        }
    }
}

fn size(plan: &Plan) -> u64 {
    plan.happenings.len() as u64 * 1_000 + plan.devices.len() as u64 * 1_000 + plan.length / MINUTE
}

fn take_out_happenings(best: &mut Plan, fails: &mut impl FnMut(&Plan) -> bool) {
    let mut chunk = best.happenings.len().div_ceil(2);
    while chunk > 0 {
        let mut from = 0;
        while from < best.happenings.len() {
            let mut candidate = best.clone();
            let until = (from + chunk).min(candidate.happenings.len());
            candidate.happenings.drain(from..until);
            if fails(&candidate) {
                *best = candidate;
            } else {
                from += chunk;
            }
        }
        chunk /= 2;
    }
}

fn take_out_devices(best: &mut Plan, fails: &mut impl FnMut(&Plan) -> bool) {
    let mut place = 0;
    while place < best.devices.len() {
        let mut candidate = best.clone();
        candidate.devices.remove(place);
        if !candidate.devices.is_empty() && fails(&candidate) {
            *best = candidate;
        } else {
            place += 1;
        }
    }
}

fn shorten(best: &mut Plan, fails: &mut impl FnMut(&Plan) -> bool) {
    while best.length > 2 * MINUTE {
        let mut candidate = best.clone();
        candidate.length /= 2;
        let length = candidate.length;
        candidate.happenings.retain(|happening| happening.at < length);
        if !fails(&candidate) {
            return;
        }
        *best = candidate;
    }
}
