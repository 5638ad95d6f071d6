//! What a configuration consisted of, in one word.

use sha2::{Digest, Sha256 as Hasher};

use super::{Sha256, SourceFile};

/// One digest of all sources: the same for the same files with the same content, in whatever order.
#[must_use]
pub fn sources_digest(sources: &[SourceFile]) -> Sha256 {
    let mut lines: Vec<&SourceFile> = sources.iter().collect();
    lines.sort();
    let mut hasher = Hasher::new();
    for source in lines {
        hasher.update(source.path.as_bytes());
        // Neither a path nor a digest contains it.
        hasher.update([0]);
        hasher.update(source.sha256.as_ref().map_or("-", |sha256| sha256.0.as_str()));
        hasher.update([0]);
    }
    Sha256(hex::encode(hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter_and_content_does() {
        let file = |path: &str, sha256: Option<&str>| SourceFile {
            path: path.to_owned(),
            sha256: sha256.map(|digits| Sha256(digits.to_owned())),
        };
        let [a, b] = [file("a", Some("11")), file("b", None)];
        let digest = sources_digest(&[a.clone(), b.clone()]);
        assert_eq!(digest, sources_digest(&[b.clone(), a.clone()]));
        assert_ne!(digest, sources_digest(std::slice::from_ref(&a)));
        assert_ne!(digest, sources_digest(&[a, file("b", Some("22"))]));
    }
}
