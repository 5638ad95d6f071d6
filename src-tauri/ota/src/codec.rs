//! The bytes of ESPHome's OTA protocol.

/// What a client says first.
pub const MAGIC: [u8; 5] = [0x6C, 0x26, 0xF7, 0x5C, 0x45];

/// Bytes received by the device for each of its block acknowledgements (protocol version 2).
///
/// The device counts bytes as they come over the wire, that is compressed ones, and sends one
/// acknowledgement more for a last, shorter block.
pub const ACK_BLOCK: usize = 8192;

/// The window, as a power of two, of the deflate streams that devices can inflate.
pub const DEFLATE_WINDOW_BITS: u8 = 12;

/// The update replaces the application (and not the bootloader or the partition table).
pub(super) const TYPE_APP: u8 = 0x00;

/// What a client can do, sent as one byte.
pub(super) mod client {
    pub(crate) const GZIP: u8 = 0x01;
    pub(crate) const SHA256: u8 = 0x02;
    pub(crate) const EXTENDED: u8 = 0x04;
    pub(crate) const NOISE: u8 = 0x08;
    pub(crate) const DEFLATE: u8 = 0x10;
    /// What this client always offers.
    pub(crate) const OFFERED: u8 = GZIP | SHA256 | EXTENDED | DEFLATE;
}

/// What a device offers in the extended feature answer.
pub(super) mod server {
    pub(crate) const GZIP: u8 = 0x01;
    pub(crate) const NOISE: u8 = 0x04;
    /// Binding once offered: the device then expects two sizes and a deflate stream.
    pub(crate) const DEFLATE: u8 = 0x08;
}

/// The device's answers.
pub(super) mod answer {
    pub(crate) const OK: u8 = 0x00;
    pub(crate) const REQUEST_MD5: u8 = 0x01;
    pub(crate) const REQUEST_SHA256: u8 = 0x02;
    pub(crate) const HEADER_OK: u8 = 0x40;
    pub(crate) const AUTH_OK: u8 = 0x41;
    pub(crate) const PREPARE_OK: u8 = 0x42;
    pub(crate) const MD5_OK: u8 = 0x43;
    pub(crate) const RECEIVED: u8 = 0x44;
    pub(crate) const UPDATE_END: u8 = 0x45;
    pub(crate) const SUPPORTS_GZIP: u8 = 0x46;
    pub(crate) const BLOCK_OK: u8 = 0x47;
    pub(crate) const FEATURE_FLAGS: u8 = 0x48;
}

/// The form in which an image travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// The image as it is.
    Raw,
    /// A gzip file, which the device stores and unpacks when it restarts.
    Gzip,
    /// A raw deflate stream, which the device unpacks while it receives.
    Deflate,
}

/// A size as the protocol wants it: four bytes, the most significant first.
///
/// Images are limited to [`super::MAX_IMAGE_SIZE`], so every size fits.
pub(super) fn size_field(size: usize) -> [u8; 4] {
    u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes()
}
