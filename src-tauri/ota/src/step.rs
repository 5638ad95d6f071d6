//! Where in the protocol a session is.

/// The step that a session waits in; errors carry the step in which they happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Nothing has come from the device yet.
    Greeting,
    /// The device has answered; its protocol version is still to come.
    Version,
    /// Which features the device has.
    Features,
    /// Whether the device has the same encryption key.
    Encryption,
    /// Whether the device wants a password, and its nonce.
    Auth,
    /// The device has asked for the password; the application doesn't know yet who it is.
    Identity,
    /// Whether the password was right.
    AuthResult,
    /// The device is ready for the update; the application has not yet cleared it.
    Gate,
    /// The device makes room for the image.
    Prepare,
    /// The device takes the image's checksum.
    Checksum,
    /// The image is on its way.
    Transfer,
    /// The last byte of the image has left: the device finishes on its own.
    Commit,
}

impl Step {
    /// When this step is, as part of a sentence.
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Greeting => "before the device answered",
            Self::Version | Self::Features => "while agreeing on the protocol",
            Self::Encryption => "while agreeing on the encryption",
            Self::Auth | Self::AuthResult => "during the password check",
            Self::Identity => "before it was known which device this is",
            Self::Gate => "before the transfer was cleared to begin",
            Self::Prepare => "while the device made room for the firmware",
            Self::Checksum => "when the transfer began",
            Self::Transfer => "during the transfer",
            Self::Commit => "after the whole firmware was sent",
        }
    }
}

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The step that is under way.
    pub step: Step,
    /// Whether the connection is encrypted by now.
    pub encrypted: bool,
    /// Bytes of the image, as it travels, handed to the transport.
    pub sent: u32,
    /// Bytes of the image, as it travels, that the device has acknowledged. Devices with
    /// version 1 of the protocol acknowledge nothing before the end.
    pub acknowledged: u32,
    /// Size in bytes of the image as it travels; 0 before the gate has opened.
    pub total: u32,
}
