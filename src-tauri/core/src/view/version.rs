//! Which of two ESPHome versions is the older one.

/// The parts of a version such as `2026.10.0`, `2026.11.0b2` or `2026.12.0-dev`: three numbers, and the
/// rank of what follows (a release comes after its betas, and those after development).
type Parts = (Vec<u32>, (u8, u32));

/// Whether firmware of the version `deployed` is older than what ESPHome `available` builds. A version that
/// can't be read is older than none.
#[must_use]
pub fn is_older(deployed: &str, available: &str) -> bool {
    matches!((parts(deployed), parts(available)), (Some(deployed), Some(available)) if deployed < available)
}

fn parts(version: &str) -> Option<Parts> {
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    let (numbers, rest) = version.split_at_checked(end)?;
    let numbers: Vec<u32> = numbers
        .split('.')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()
        .filter(|parts: &Vec<u32>| parts.len() == 3)?;
    let rank = match rest.strip_prefix('b') {
        Some(beta) => (1, beta.parse().ok()?),
        None if rest.is_empty() => (2, 0),
        None => (0, 0),
    };
    Some((numbers, rank))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (old, new) in [
            ("2025.9.3", "2026.1.0"),
            ("2026.9.9", "2026.10.0"),
            ("2026.10.0", "2026.10.1"),
            ("2026.10.0b2", "2026.10.0"),
            ("2026.10.0b2", "2026.10.0b10"),
            ("2026.10.0-dev", "2026.10.0b1"),
        ] {
            assert!(is_older(old, new), "{old} {new}");
            assert!(!is_older(new, old), "{new} {old}");
            assert!(!is_older(old, old));
        }
        for unreadable in ["", "x", "2026", "2026..1", "99999999999.1.1", "2026.1.0bx"] {
            assert!(!is_older(unreadable, "2026.10.0"), "{unreadable:?}");
            assert!(!is_older("2020.1.0", unreadable), "{unreadable:?}");
        }
    }
}
