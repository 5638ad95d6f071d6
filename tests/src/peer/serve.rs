//! The device's side of the protocol.

use std::io::{Error, ErrorKind, Read};

use md5::{Digest, Md5};
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use base64::Engine as _;

use super::noise::{self, Connection, Responder};
use super::{Auth, Fault, Features, LiveReport, Script, Stage};

const BLOCK: usize = 8192;
/// What a device reads at once.
const PIECE: usize = 1040;

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Close,
    Reset,
}

/// Why the device stopped before the end of the update.
enum Stop {
    Io(Error),
    Fault(End),
    /// The device has reported this error.
    Reported(u8),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Io(error)
    }
}

struct Device<'a, S> {
    stream: &'a mut S,
    script: &'a Script,
    report: &'a LiveReport,
    noise: Option<Connection>,
}

/// Serves one client to its end, whatever that is.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    script: &Script,
    report: &LiveReport,
) -> End {
    let mut device = Device { stream, script, report, noise: None };
    let (end, words) = match device.update().await {
        Ok(()) => (End::Close, None),
        Err(Stop::Io(error)) => (End::Close, Some(error.to_string())),
        Err(Stop::Fault(end)) => (end, Some("as scripted".to_owned())),
        Err(Stop::Reported(code)) => {
            // Like a device: one attempt, then it closes, whatever is still unread.
            let _ = device.say(&[code]).await;
            (End::Close, Some(format!("error {code:02X}")))
        }
    };
    report.note(|report| report.ended = words);
    end
}

/// What was agreed on in the handshake.
struct Terms {
    extended: bool,
    deflate: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Device<'_, S> {
    async fn update(&mut self) -> Result<(), Stop> {
        self.answer(Stage::Connect, &[]).await?;
        let terms = self.handshake().await?;
        if self.noise.is_some() {
            self.answer(Stage::AuthResult, &[0x41]).await?;
        } else {
            self.authenticate().await?;
        }
        if terms.extended {
            let [update_type] = self.take::<1>().await?;
            self.report.note(|report| report.update_type = Some(update_type));
            if update_type != 0 {
                return Err(Stop::Reported(0x8E));
            }
        }
        let wire_size = u32::from_be_bytes(self.take().await?);
        self.report.note(|report| report.wire_size = Some(wire_size));
        if terms.deflate {
            let image_size = u32::from_be_bytes(self.take().await?);
            self.report.note(|report| report.image_size = Some(image_size));
        }
        self.answer(Stage::Prepare, &[0x42]).await?;
        let md5 = String::from_utf8_lossy(&self.take::<32>().await?).into_owned();
        self.report.note(|report| report.md5 = Some(md5.clone()));
        self.answer(Stage::Checksum, &[0x43]).await?;
        let wire = self.receive(wire_size as usize).await?;
        self.answer(Stage::Received, &[0x44]).await?;
        let (image, hashed) = unpack(&wire, &terms).ok_or(Stop::Reported(0xFF))?;
        if hashed != md5 {
            return Err(Stop::Reported(0x8B));
        }
        self.answer(Stage::UpdateEnd, &[0x45]).await?;
        self.report.note(|report| report.image = Some(image));
        if self.take::<1>().await? == [0] {
            self.report.note(|report| report.goodbye = true);
        }
        Ok(())
    }

    async fn handshake(&mut self) -> Result<Terms, Stop> {
        if self.take::<5>().await? != [0x6C, 0x26, 0xF7, 0x5C, 0x45] {
            return Err(Stop::Reported(0x80));
        }
        self.answer(Stage::Greeting, &[0x00, self.script.version]).await?;
        let [client] = self.take::<1>().await?;
        self.report.note(|report| report.client_features = Some(client));
        if self.script.requires_key && client & 0x0C != 0x0C {
            return Err(Stop::Reported(0x94));
        }
        match self.script.features {
            Features::Extended { flags } if client & 0x04 != 0 => {
                let gzip = if client & 0x01 != 0 { flags & 0x01 } else { 0 };
                let deflate = if client & 0x10 != 0 { flags & 0x08 } else { 0 };
                let noise = if self.script.key.is_some() { 0x04 } else { 0 };
                let flags = (flags & !0x09) | gzip | deflate | noise;
                self.answer(Stage::Features, &[0x48, flags]).await?;
                if let (Some(key), true) = (&self.script.key, client & 0x08 != 0) {
                    let prologue = noise::prologue(self.script.version, client, flags);
                    self.agree_on(&decoded(key)?, &prologue).await?;
                }
                Ok(Terms { extended: true, deflate: deflate != 0 })
            }
            Features::Extended { .. } | Features::Legacy { .. } => {
                let gzip = matches!(
                    self.script.features,
                    Features::Legacy { gzip: true } | Features::Extended { flags: 0x01 }
                );
                let byte = if gzip && client & 0x01 != 0 { 0x46 } else { 0x40 };
                self.answer(Stage::Features, &[byte]).await?;
                Ok(Terms { extended: false, deflate: false })
            }
        }
    }

    async fn authenticate(&mut self) -> Result<(), Stop> {
        let (request, length) = match self.script.auth {
            Auth::None => return self.answer(Stage::AuthResult, &[0x41]).await,
            Auth::Md5 => (0x01, 32),
            Auth::Sha256 => (0x02, 64),
        };
        let nonce = vec![b'5'; self.script.nonce_length.unwrap_or(length)];
        let mut words = vec![request];
        words.extend_from_slice(&nonce);
        self.answer(Stage::AuthRequest, &words).await?;
        let mut reply = vec![0; 2 * length];
        self.stream.read_exact(&mut reply[..1]).await?;
        self.report.note(|report| report.answered = true);
        self.stream.read_exact(&mut reply[1..]).await?;
        let (client_nonce, proof) = reply.split_at(length);
        let text = [self.script.password.as_bytes(), &nonce, client_nonce].concat();
        let expected = match self.script.auth {
            Auth::None | Auth::Md5 => hex::encode(Md5::digest(&text)),
            Auth::Sha256 => hex::encode(Sha256::digest(&text)),
        };
        if proof != expected.as_bytes() {
            return Err(Stop::Reported(0x82));
        }
        self.answer(Stage::AuthResult, &[0x41]).await
    }

    /// Takes the image off the wire and acknowledges its blocks.
    async fn receive(&mut self, size: usize) -> Result<Vec<u8>, Stop> {
        let mut wire = Vec::new();
        let mut blocks = 0;
        let mut piece = [0; PIECE];
        while wire.len() < size {
            let wanted = PIECE.min(size - wire.len());
            let came = if self.noise.is_some() {
                self.field(1, wanted).await?
            } else {
                let count = self.stream.read(&mut piece[..wanted]).await?;
                piece[..count].to_vec()
            };
            if came.is_empty() {
                return Err(Error::from(ErrorKind::UnexpectedEof).into());
            }
            wire.extend_from_slice(&came);
            self.report.note(|report| report.wire.extend_from_slice(&came));
            while self.script.version >= 2
                && (wire.len() >= (blocks + 1) * BLOCK
                    || (wire.len() == size && blocks * BLOCK < size))
            {
                let extra = if blocks == 0 { self.script.extra_blocks } else { 0 };
                // Counted first: the client may be done before this task runs again.
                self.report.note(|report| report.blocks += 1 + extra);
                self.answer(Stage::Block(blocks), &vec![0x47; 1 + extra]).await?;
                blocks += 1;
            }
        }
        Ok(wire)
    }

    async fn take<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        if self.noise.is_some() {
            bytes.copy_from_slice(&self.field(N, N).await?);
        } else {
            self.stream.read_exact(&mut bytes).await?;
        }
        Ok(bytes)
    }

    /// The Noise handshake.
    async fn agree_on(&mut self, key: &[u8; 32], prologue: &[u8]) -> Result<(), Stop> {
        let responder = Responder::new(key, prologue).map_err(invalid)?;
        let message = self.frame(1, 129).await?;
        let (answer, connection) = responder.answer(&message).map_err(invalid)?;
        self.answer(Stage::Encryption, &noise::frame(&answer)).await?;
        let Some(connection) = connection else {
            return Err(Error::new(ErrorKind::PermissionDenied, "another key").into());
        };
        self.noise = Some(connection);
        self.report.note(|report| report.encrypted = true);
        Ok(())
    }

    /// The payload of a frame, whose length is between the two.
    async fn frame(&mut self, least: usize, most: usize) -> Result<Vec<u8>, Stop> {
        let mut header = [0; 3];
        self.stream.read_exact(&mut header).await?;
        let length = usize::from(u16::from_be_bytes([header[1], header[2]]));
        if header[0] != 1 || length < least || length > most {
            return Err(invalid(format!("frame {header:02X?}")));
        }
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).await?;
        Ok(payload)
    }

    /// A protocol field out of a frame of its own.
    async fn field(&mut self, least: usize, most: usize) -> Result<Vec<u8>, Stop> {
        let most = noise::MAX_CIPHERTEXT.min(most + 16);
        let sealed = self.frame(least + 16, most).await?;
        let noise = self.noise.as_mut().ok_or_else(|| invalid("not encrypted"))?;
        noise.open(&sealed).map_err(invalid)
    }

    /// Says something, one byte in a frame when the connection is encrypted.
    async fn say(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Some(noise) = &mut self.noise else { return self.stream.write_all(bytes).await };
        let mut frames = Vec::new();
        for byte in bytes {
            frames.extend(noise.seal(&[*byte]).map_err(Error::other)?);
        }
        self.stream.write_all(&frames).await
    }

    /// Gives an answer, or what the script says instead.
    async fn answer(&mut self, stage: Stage, bytes: &[u8]) -> Result<(), Stop> {
        let Some((_, fault)) = self.script.faults.iter().find(|(at, _)| *at == stage) else {
            return Ok(self.say(bytes).await?);
        };
        self.report.note(|report| report.faulted = true);
        match fault {
            Fault::Error(code) => Err(Stop::Reported(*code)),
            Fault::Close => Err(Stop::Fault(End::Close)),
            Fault::Reset => Err(Stop::Fault(End::Reset)),
            Fault::Stall => {
                self.stall().await;
                Err(Stop::Fault(End::Close))
            }
            Fault::Say(words) => Ok(self.say(words).await?),
            Fault::Raw(words) => Ok(self.stream.write_all(words).await?),
            Fault::Endless(byte) => loop {
                self.say(&[*byte; 4096]).await?;
            },
            Fault::Skip => Ok(()),
            Fault::Late(time) => {
                tokio::time::sleep(*time).await;
                Ok(self.say(bytes).await?)
            }
        }
    }

    /// Returns when the client is gone.
    async fn stall(&mut self) {
        let mut sink = [0; PIECE];
        while matches!(self.stream.read(&mut sink).await, Ok(count) if count > 0) {}
    }
}

fn decoded(key: &str) -> Result<[u8; 32], Stop> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(key).map_err(invalid)?;
    bytes.try_into().map_err(|_| invalid("no key"))
}

fn invalid(error: impl ToString) -> Stop {
    Error::new(ErrorKind::InvalidData, error.to_string()).into()
}

/// The image in what came over the wire, and the MD5 that the device compares.
fn unpack(wire: &[u8], terms: &Terms) -> Option<(Vec<u8>, String)> {
    let mut image = Vec::new();
    if terms.deflate {
        // A window of 4 KiB, as devices have it: a reference further back is an error.
        let mut inflate = flate2::Decompress::new_with_window_bits(false, 12);
        let mut out = vec![0; 4096];
        loop {
            let (at, before) = (inflate.total_in() as usize, inflate.total_out());
            let flush = flate2::FlushDecompress::None;
            let status = inflate.decompress(&wire[at..], &mut out, flush).ok()?;
            let count = (inflate.total_out() - before) as usize;
            image.extend_from_slice(&out[..count]);
            match status {
                flate2::Status::StreamEnd if inflate.total_in() as usize == wire.len() => break,
                flate2::Status::Ok if count > 0 => {}
                flate2::Status::Ok | flate2::Status::BufError | flate2::Status::StreamEnd => {
                    return None;
                }
            }
        }
        let md5 = hex::encode(Md5::digest(&image));
        return Some((image, md5));
    }
    if wire.starts_with(&[0x1F, 0x8B]) {
        flate2::read::GzDecoder::new(wire).read_to_end(&mut image).ok()?;
    } else {
        image.extend_from_slice(wire);
    }
    Some((image, hex::encode(Md5::digest(wire))))
}
