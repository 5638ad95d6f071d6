//! The tables of docs/ARCHITECTURE.md are those of the code.

use crate::retry::{
    AFTER_REFUSED_GATE, AT_ANOTHER_DEVICE, DEVICE_ERROR_LIMIT, NextStep, TRANSFERS_AN_HOUR,
    after_cuts, next_step,
};
use wakeflash_ota::FailureClass;

const ARCHITECTURE: &str = include_str!("../../../../../docs/ARCHITECTURE.md");

/// The rows of the table with this heading, as cells.
pub(super) fn table(first_cell: &str) -> Vec<Vec<&'static str>> {
    let cells = |line: &'static str| -> Vec<&'static str> {
        line.trim_matches('|').split('|').map(str::trim).collect()
    };
    ARCHITECTURE
        .lines()
        .skip_while(|line| !line.starts_with(&format!("| {first_cell} |")))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(cells)
        .collect()
}

#[test]
fn the_retry_rules_in_the_documentation_are_those_of_the_code() {
    let next = |class, other_password| match next_step(class, 1, 1, other_password) {
        NextStep::RetryIn(pause) => format!("again after {} s", pause.as_secs_f64()),
        NextStep::TryLastPassword => "again at once with that one".to_owned(),
        NextStep::GiveUp => "Failed".to_owned(),
        NextStep::Confirm => "Confirming".to_owned(),
    };
    let left_alone =
        |how, pause: core::time::Duration| format!("{how} left alone for {} s", pause.as_secs());
    use FailureClass as C;
    let rules = [
        (
            "RetryNow",
            format!(
                "{}; doubled after each transfer that is cut in one wake, {} s at most",
                next(C::RetryNow, false),
                after_cuts(u32::MAX).as_secs()
            ),
        ),
        ("Busy", next(C::Busy, false)),
        ("NextWake", next(C::NextWake, false)),
        ("WrongPassword", next(C::WrongPassword, true)),
        ("WrongPassword", next(C::WrongPassword, false)),
        ("Permanent", next(C::Permanent, false)),
        ("OutcomeUnknown", next(C::OutcomeUnknown, false)),
        ("The gate could not tell", left_alone("this address is", AFTER_REFUSED_GATE)),
        ("The gate found another", left_alone("this address is forgotten and", AT_ANOTHER_DEVICE)),
    ];
    let rows = table("Failure");
    assert_eq!(rows.len(), rules.len());
    for (row, (failure, then)) in rows.iter().zip(rules) {
        assert!(row[0].starts_with(failure), "{row:?}");
        assert_eq!(row[1], then, "{failure}");
    }
    assert!(rows[0][2].starts_with(&format!("{TRANSFERS_AN_HOUR} begun transfers an hour")));
    assert!(rows[2][2].starts_with(&DEVICE_ERROR_LIMIT.to_string()));
}
