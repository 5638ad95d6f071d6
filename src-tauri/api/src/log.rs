//! What a device says in its log: bytes that anybody may have written, made lines that are safe to show.

/// The longest line that is kept, in bytes; ESPHome's own devices write half a kilobyte.
pub const LONGEST_LINE: usize = 2_048;
/// The most lines that are taken from one message.
pub const MOST_LINES: usize = 256;
/// What stands where something was left out.
const CUT: char = '…';
/// The longest sequence of a terminal that sets a colour.
const LONGEST_COLOUR: usize = 16;

/// The lines of one message, without anything that moves a cursor or hides what is said; colours stay, as ESPHome
/// writes them (`ESC [ … m`).
pub(crate) fn lines(message: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(message);
    let mut all = text.trim_end_matches(['\n', '\r', '\0']).split('\n');
    let mut lines: Vec<String> = all.by_ref().take(MOST_LINES).map(clean).collect();
    if all.next().is_some()
        && let Some(last) = lines.last_mut()
    {
        *last = CUT.to_string();
    }
    lines
}

/// ESPHome conceals what is secret, such as the name of a network, between these: a terminal doesn't show it.
const SECRET_BEGINS: &str = "\x1B[8m";
const SECRET_ENDS: &str = "\x1B[28m";
/// What stands for it.
const SECRET: &str = "•••";

/// One line, cut, with nothing in it but text and colours.
fn clean(line: &str) -> String {
    let mut kept = String::new();
    let mut rest = line;
    while let Some(next) = rest.chars().next() {
        let (piece, after) = match next {
            '\x1B' => match rest.strip_prefix(SECRET_BEGINS) {
                Some(secret) => {
                    (SECRET, secret.split_once(SECRET_ENDS).map_or("", |(_, after)| after))
                }
                None => escape(rest),
            },
            '\t' => ("    ", rest.get(1..).unwrap_or_default()),
            _ if is_unsafe(next) => ("", rest.get(next.len_utf8()..).unwrap_or_default()),
            _ => rest.split_at(next.len_utf8()),
        };
        if kept.len() + piece.len() + CUT.len_utf8() > LONGEST_LINE {
            kept.push(CUT);
            return kept;
        }
        kept.push_str(piece);
        rest = after;
    }
    kept
}

/// What is kept of an escape sequence, and what follows on it.
fn escape(text: &str) -> (&str, &str) {
    let Some(inside) = text.strip_prefix("\x1B[") else {
        // No other sequence is taken for one: what follows is shown as the text that it is.
        return ("", text.get(1..).unwrap_or_default());
    };
    let parameters = inside.bytes().take_while(|byte| (0x20..0x40).contains(byte)).count();
    let colour = inside.bytes().take(parameters).all(|byte| byte.is_ascii_digit() || byte == b';');
    match inside.as_bytes().get(parameters) {
        Some(b'm') if colour && parameters <= LONGEST_COLOUR => text.split_at(parameters + 3),
        Some(0x40..=0x7E) => ("", inside.get(parameters + 1..).unwrap_or_default()),
        Some(_) | None => ("", inside.get(parameters..).unwrap_or_default()),
    }
}

/// Control characters, and those that make text run the other way.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_esphome_writes_stays_as_it_is() {
        let line = "\x1b[0;36m[D][sensor:094]: 'Battery': Sending state 71.00000 %\x1b[0m";
        assert_eq!(lines(line.as_bytes()), [line]);
        assert_eq!(lines("[C][wifi:600]: Küche\r\n".as_bytes()), ["[C][wifi:600]: Küche"]);
        assert_eq!(lines(b"one\ntwo\n"), ["one", "two"]);
        assert_eq!(lines(b""), [""]);
    }

    #[test]
    fn what_moves_a_cursor_or_hides_something_goes() {
        for (said, shown) in [
            ("a\x1b[2Kb\x1b[1;1Hc", "abc"),
            ("a\x1b]0;title\x07b", "a]0;titleb"),
            ("a\rb\x08\0c\u{9b}d", "abcd"),
            ("a\u{202e}b\u{2066}c", "abc"),
            ("a\x1b[", "a"),
            ("a\x1b[31", "a"),
            ("a\x1b[?25lb", "ab"),
            ("a\x1b[38;5;1;1;1;1;1;1;1;1mb", "ab"),
            ("a\x1b", "a"),
            ("a\tb", "a    b"),
            ("\u{FFFD}", "\u{FFFD}"),
        ] {
            assert_eq!(lines(said.as_bytes()), [shown], "{said:?}");
        }
        assert_eq!(lines(b"a\xFF"), ["a\u{FFFD}"]);
    }

    #[test]
    fn what_esphome_conceals_is_not_told() {
        for (said, shown) in [
            ("SSID: \x1b[8mHome\x1b[28m\x1b[0m", "SSID: •••\x1b[0m"),
            ("\x1b[8ma\x1b[28m, \x1b[8mb\x1b[28m", "•••, •••"),
            ("SSID: \x1b[8mcut", "SSID: •••"),
        ] {
            assert_eq!(lines(said.as_bytes()), [shown], "{said:?}");
        }
    }

    #[test]
    fn a_line_and_a_message_have_an_end() {
        let long = lines(&[b'x'; 60_000]);
        assert_eq!((long.len(), long[0].len()), (1, LONGEST_LINE));
        assert!(long[0].ends_with(CUT));
        let many = lines("a\n".repeat(30_000).as_bytes());
        assert_eq!((many.len(), many.last().unwrap().as_str()), (MOST_LINES, "…"));
        assert_eq!(lines("a\n".repeat(MOST_LINES).as_bytes()).last().unwrap(), "a");
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_safe_to_show(message in proptest::collection::vec(any::<u8>(), 0..4_000)) {
            is_safe(&message)?;
        }

        #[test]
        fn so_is_whatever_looks_like_a_terminal(message in r"([a-z\x1b\[\];0-9mHK\r\n\x07\x{202e}]|\x1b\[[0-9;]{0,20}m){0,300}") {
            is_safe(message.as_bytes())?;
        }
    }

    fn is_safe(message: &[u8]) -> Result<(), TestCaseError> {
        let lines = lines(message);
        prop_assert!(lines.len() <= MOST_LINES);
        for line in lines {
            prop_assert!(line.len() <= LONGEST_LINE);
            let mut rest = line.as_str();
            while let Some(at) = rest.find('\x1B') {
                let inside = rest[at..].strip_prefix("\x1B[");
                prop_assert!(inside.is_some(), "{line:?}");
                let inside = inside.unwrap();
                let end = inside.find(|c: char| !c.is_ascii_digit() && c != ';');
                prop_assert!(end.is_some_and(|end| inside[end..].starts_with('m')), "{line:?}");
                prop_assert!(!rest[..at].chars().any(is_unsafe), "{line:?}");
                rest = inside;
            }
            prop_assert!(!rest.chars().any(is_unsafe), "{line:?}");
        }
        Ok(())
    }
}
