//! What a configuration consisted of, in one word.

use sha2::{Digest, Sha256 as Hasher};

use super::{Counts, Sha256, SourceFile};

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
        let content = match &source.counts {
            Counts::Secrets { values, .. } => Some(values),
            Counts::Content | Counts::Names(_) | Counts::Commit => source.sha256.as_ref(),
        };
        hasher.update(content.map_or("-", |sha256| sha256.0.as_str()));
        hasher.update([0]);
    }
    Sha256(hex::encode(hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter_and_content_does() {
        let file = |path: &str, sha256: Option<&str>| {
            SourceFile::file(path, sha256.map(|digits| Sha256(digits.to_owned())))
        };
        let [a, b] = [file("a", Some("11")), file("b", None)];
        let digest = sources_digest(&[a.clone(), b.clone()]);
        assert_eq!(digest, sources_digest(&[b.clone(), a.clone()]));
        assert_ne!(digest, sources_digest(std::slice::from_ref(&a)));
        assert_ne!(digest, sources_digest(&[a, file("b", Some("22"))]));
        let secrets = |sha256: &str, values: &str| SourceFile {
            counts: Counts::Secrets { names: Vec::new(), values: Sha256(values.to_owned()) },
            ..file("s", Some(sha256))
        };
        let digest = sources_digest(&[secrets("1", "v")]);
        assert_eq!(digest, sources_digest(&[secrets("2", "v")]), "another line of it");
        assert_ne!(digest, sources_digest(&[secrets("1", "w")]));
    }

    #[test]
    fn sources_that_were_stored_before_only_content_counted_are_read() {
        let read: SourceFile = serde_json::from_str(r#"{"path":"a.yaml","sha256":null}"#).unwrap();
        assert_eq!(read, SourceFile::file("a.yaml", None));
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"{"path":"a.yaml","sha256":null}"#);
    }
}
