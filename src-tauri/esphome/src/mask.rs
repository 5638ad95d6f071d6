//! Sources as they may be kept: in the place of each secret stands a mark, by which only can be told whether it is
//! another one.

use sha2::{Digest as _, Sha256 as Hasher};

use crate::scrub::{MARK, Secrets};

/// Around what tells one secret from another, which is for no one to see. They are letters of nobody's.
const FROM: char = '\u{E000}';
const TO: char = '\u{E001}';

/// How many bytes of a digest tell secrets apart. So few that many a word has the same: what is kept doesn't tell whether
/// a guess was right. And that a file is another one, is known anyhow.
const TELLING: usize = 2;

/// Puts marks in the place of secrets.
#[derive(Debug)]
pub struct Mask {
    salt: String,
    secrets: Secrets,
}

impl Mask {
    /// `salt`: marks with another one can't be compared. The secrets are those of these files, each with its path.
    #[must_use]
    pub fn new<'t>(salt: &str, files: impl IntoIterator<Item = (&'t str, &'t str)>) -> Self {
        let mut secrets = Secrets::plain();
        for (path, text) in files {
            if is_secrets(path) || is_yaml(path) {
                secrets.add_yaml(text, is_secrets(path));
            }
        }
        Self { salt: salt.to_owned(), secrets }
    }

    /// The text of a file as it may be kept. Of a file of secrets, nothing but the names is left.
    #[must_use]
    pub fn of(&self, path: &str, text: &str) -> String {
        if !is_secrets(path) {
            return self.secrets.replaced(text, |secret| self.mark(secret));
        }
        let lines = text.lines().map(|line| self.of_secret(line) + "\n");
        lines.collect()
    }

    fn of_secret(&self, line: &str) -> String {
        let value = line.trim();
        if value.is_empty() {
            return String::new();
        }
        let is_name = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c))
        };
        match line.split_once(':').filter(|(name, _)| is_name(name)) {
            Some((name, value)) if value.trim().is_empty() => format!("{name}:"),
            Some((name, value)) => format!("{name}: {}", self.mark(value.trim())),
            // A comment, or a line of a value that has several.
            None => self.mark(value),
        }
    }

    fn mark(&self, secret: &str) -> String {
        let mut hasher = Hasher::new();
        hasher.update(&self.salt);
        hasher.update(secret);
        let digest = hasher.finalize();
        let telling = hex::encode(digest.get(..TELLING).unwrap_or_default());
        format!("{MARK}{FROM}{telling}{TO}")
    }
}

/// A masked text as it is shown, and whether there is a mark in it.
#[must_use]
pub fn shown(masked: &str) -> (String, bool) {
    let mut parts = masked.split(FROM);
    let mut text = parts.next().unwrap_or_default().to_owned();
    let mut any = false;
    for part in parts {
        any = true;
        text.push_str(part.split_once(TO).map_or(part, |(_, rest)| rest));
    }
    (text, any)
}

/// Whether a file is one of secrets, by its name.
fn is_secrets(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    is_yaml(name) && name.to_lowercase().contains("secret")
}

fn is_yaml(path: &str) -> bool {
    path.ends_with(".yaml") || path.ends_with(".yml")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRETS: &str = "# old: hunter11\nwifi_password: \"hunter22\" # mine\nshort: 12\ncert: |\n  abc: hunter33\n";
    const YAML: &str = "wifi:\n  ssid: Home\n  password: literally\napi:\n  encryption:\n    key: AAAABBBB=\n\
                        x: hunter22\ny:\n  password: !secret named_so\nz: named_so\ngpio: 12\npin: GPIO5\nmatrix_keypad:\n  rows: GPIO6\n";

    fn mask(salt: &str) -> Mask {
        Mask::new(salt, [("secrets.yaml", SECRETS), ("a.yaml", YAML)])
    }

    #[test]
    fn nothing_secret_is_left_and_the_rest_is_as_it_was() {
        let secrets = mask("salt").of("common/secrets.yaml", SECRETS);
        assert!(!secrets.contains("hunter") && !secrets.contains("12"), "{secrets}");
        let (shown_secrets, any) = shown(&secrets);
        assert_eq!(shown_secrets, "•••\nwifi_password: •••\nshort: •••\ncert: •••\n•••\n");
        assert!(any);
        let yaml = mask("salt").of("a.yaml", YAML);
        for secret in ["literally", "AAAABBBB", "hunter22"] {
            assert!(!yaml.contains(secret), "{yaml}");
        }
        let (shown_yaml, _) = shown(&yaml);
        let wanted = YAML.replace("literally", MARK).replace("AAAABBBB=", MARK);
        assert_eq!(shown_yaml, wanted.replace("hunter22", MARK));
        assert_eq!(shown("name: x\n"), ("name: x\n".to_owned(), false));
    }

    #[test]
    fn another_secret_has_another_mark() {
        let of = |salt: &str, text: &str| mask(salt).of("secrets.yaml", text);
        assert_eq!(of("1", "a: one"), of("1", "a:  one "));
        assert_ne!(of("1", "a: one"), of("1", "a: two"));
        assert_ne!(of("1", "a: one"), of("2", "a: one"));
        assert!(!of("1", "a: one").contains(&hex::encode(Hasher::digest("one"))));
    }
}
