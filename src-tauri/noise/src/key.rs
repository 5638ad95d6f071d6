//! The key that client and device share.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The key that client and device share. Its `Debug` form doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptionKey(pub(crate) [u8; 32]);

impl EncryptionKey {
    /// Reads a key as configurations have it: 32 bytes in base64. `None`: it is none.
    #[must_use]
    pub fn from_base64(text: &str) -> Option<Self> {
        STANDARD.decode(text.trim()).ok()?.try_into().ok().map(Self)
    }
}

impl std::fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EncryptionKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_32_bytes_in_base64() {
        let key = EncryptionKey::from_base64("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        let expected: Vec<u8> = (0..32).collect();
        assert_eq!(key.as_ref().unwrap().0.to_vec(), expected);
        assert!(!format!("{key:?}").contains("31"));
        for wrong in
            ["", "AAECAw==", "not base64 at all", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"]
        {
            assert_eq!(EncryptionKey::from_base64(wrong), None, "{wrong}");
        }
    }
}
