//! One life, from its plan to its verdict.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::coverage::Coverage;
use crate::judge::Violation;
use crate::plan::Plan;
use crate::story::{Story, Telling};
use crate::world::World;

/// What came of a life.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) verdict: Result<(), Violation>,
    pub(crate) cover: Coverage,
    pub(crate) digest: u64,
    pub(crate) boundaries: u64,
    pub(crate) story: Vec<String>,
}

/// How a life is lived.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct How {
    /// How much of its story is told.
    pub(crate) telling: Telling,
    /// Everything that passes is digested.
    pub(crate) thorough: bool,
}

pub(crate) fn live(plan: &Plan, how: How) -> Outcome {
    let mut world = World::new(plan, Story::new(how.telling));
    world.thorough = how.thorough;
    // A panic of the application is a fault like any other, and belongs to its seed.
    let ended = catch_unwind(AssertUnwindSafe(|| world.run()));
    let verdict = ended.unwrap_or_else(|panic| {
        let words = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()))
            .unwrap_or_default();
        Err(Violation { promise: "no panic", what: words, at: world.now })
    });
    Outcome {
        verdict,
        digest: world.digest.0,
        boundaries: world.boundaries(),
        story: world.story.lines().to_vec(),
        cover: std::mem::take(&mut world.cover),
    }
}
