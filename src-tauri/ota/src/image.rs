//! A firmware image in every form that a device may ask for.

use flate2::write::GzEncoder;
use flate2::{Compress, FlushCompress, Status};
use md5::{Digest, Md5};

use super::codec::{Compression, DEFLATE_WINDOW_BITS};

/// The largest image that is accepted, in bytes: what ESPHome's host platform takes, and far
/// more than the flash of any microcontroller.
pub const MAX_IMAGE_SIZE: usize = 256 * 1024 * 1024;

/// Why an image can't be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// There are no bytes.
    #[error("The firmware file is empty. Build it again.")]
    Empty,
    /// There are too many bytes for any device.
    #[error("The firmware file has {size} bytes, more than any device can take.")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// The compressor failed, which it does for no input.
    #[error("The firmware could not be compressed ({0}). Build it again.")]
    Compressor(String),
}

/// One form of the image, ready to be sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form<'a> {
    pub(super) bytes: &'a [u8],
    /// What the device checks, in hexadecimal: the MD5 of the bytes it stores.
    pub(super) md5: &'a str,
}

/// A firmware image, prepared once and long before the device wakes: the bytes, their compressed
/// forms and the checksums. Share it in an `Arc`; it holds all three forms in memory.
pub struct PreparedImage {
    raw: Vec<u8>,
    raw_md5: String,
    deflated: Vec<u8>,
    gzipped: Vec<u8>,
    gzipped_md5: String,
}

impl PreparedImage {
    /// Compresses the image and computes its checksums; takes about a tenth of a second for each
    /// megabyte.
    ///
    /// # Errors
    /// When the image is empty or larger than [`MAX_IMAGE_SIZE`].
    pub fn new(raw: Vec<u8>) -> Result<Self, ImageError> {
        if raw.is_empty() {
            return Err(ImageError::Empty);
        }
        if raw.len() > MAX_IMAGE_SIZE {
            return Err(ImageError::TooLarge { size: raw.len() });
        }
        let deflated = deflate(&raw)?;
        let gzipped = gzip(&raw)?;
        Ok(Self { raw_md5: md5_hex(&raw), gzipped_md5: md5_hex(&gzipped), raw, deflated, gzipped })
    }

    /// Size in bytes of the image itself.
    #[must_use]
    pub fn size(&self) -> usize {
        self.raw.len()
    }

    /// Size in bytes of what travels in the given form.
    #[must_use]
    pub fn wire_size(&self, form: Compression) -> usize {
        self.form(form).bytes.len()
    }

    /// MD5 of the image itself, in hexadecimal.
    #[must_use]
    pub fn md5(&self) -> &str {
        &self.raw_md5
    }

    pub(super) fn form(&self, form: Compression) -> Form<'_> {
        match form {
            Compression::Raw => Form { bytes: &self.raw, md5: &self.raw_md5 },
            // The device hashes what it writes. A gzip file it stores as it is, a deflate
            // stream it stores inflated.
            Compression::Gzip => Form { bytes: &self.gzipped, md5: &self.gzipped_md5 },
            Compression::Deflate => Form { bytes: &self.deflated, md5: &self.raw_md5 },
        }
    }
}

impl std::fmt::Debug for PreparedImage {
    /// Sizes only: an image holds Wi-Fi credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PreparedImage")
            .field("size", &self.raw.len())
            .field("deflated", &self.deflated.len())
            .field("gzipped", &self.gzipped.len())
            .field("md5", &self.raw_md5)
            .finish()
    }
}

fn md5_hex(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

fn gzip(raw: &[u8]) -> Result<Vec<u8>, ImageError> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, raw)
        .and_then(|()| encoder.finish())
        .map_err(|error| ImageError::Compressor(error.to_string()))
}

/// A raw deflate stream whose back references reach no further than devices remember.
fn deflate(raw: &[u8]) -> Result<Vec<u8>, ImageError> {
    let level = flate2::Compression::best();
    let mut compress = Compress::new_with_window_bits(level, false, DEFLATE_WINDOW_BITS);
    let mut out = Vec::with_capacity(raw.len() / 2 + 1024);
    loop {
        let consumed = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
        let rest = raw.get(consumed..).unwrap_or_default();
        let status = compress
            .compress_vec(rest, &mut out, FlushCompress::Finish)
            .map_err(|error| ImageError::Compressor(error.to_string()))?;
        match status {
            Status::StreamEnd => return Ok(out),
            Status::Ok | Status::BufError => out.reserve(out.capacity().max(1024)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::{Decompress, FlushDecompress};
    use proptest::prelude::*;

    use super::*;

    fn inflate(deflated: &[u8], size: usize) -> Vec<u8> {
        // A window of 4 KiB refuses every back reference that a device could not follow.
        let mut decompress = Decompress::new_with_window_bits(false, DEFLATE_WINDOW_BITS);
        let mut out = Vec::with_capacity(size + 1);
        let status = decompress.decompress_vec(deflated, &mut out, FlushDecompress::Finish);
        assert_eq!(status.unwrap(), Status::StreamEnd);
        assert_eq!(decompress.total_in(), deflated.len() as u64);
        out
    }

    fn gunzip(gzipped: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        flate2::read::GzDecoder::new(gzipped).read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn images_without_bytes_are_refused() {
        assert_eq!(PreparedImage::new(Vec::new()).unwrap_err(), ImageError::Empty);
    }

    #[test]
    fn repetition_further_apart_than_the_window_is_still_sent_whole() {
        let noise: Vec<u8> =
            (0..6000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let raw = noise.repeat(40);
        let image = PreparedImage::new(raw.clone()).unwrap();
        assert_eq!(inflate(&image.deflated, raw.len()), raw);
        assert!(image.wire_size(Compression::Gzip) < image.wire_size(Compression::Deflate));
    }

    #[test]
    fn debug_output_shows_no_content() {
        let image = PreparedImage::new(b"ssid=home".to_vec()).unwrap();
        assert!(!format!("{image:?}").contains("home"));
    }

    proptest! {
        #[test]
        fn every_form_holds_the_image(raw in proptest::collection::vec(any::<u8>(), 1..20_000)) {
            let image = PreparedImage::new(raw.clone()).unwrap();
            prop_assert_eq!(&inflate(&image.deflated, raw.len()), &raw);
            prop_assert_eq!(&gunzip(&image.gzipped), &raw);
            prop_assert_eq!(image.form(Compression::Raw).bytes, &raw[..]);
        }
    }
}
