//! Which OTA password and which key a device takes, and what is known about that before it wakes.
//!
//! They are those of the firmware that runs on the device, not of the new build. Tried first are those of
//! the build; when the device refuses them, once those of the last build that was installed from here. Neither
//! choice sends in the clear what the new configuration wants encrypted.

use crate::device::DeviceMemory;
use crate::error::Problem;
use crate::update::{Build, Encryption, OtaParameters, PasswordChoice, Secret};
use wakeflash_ota::{EncryptionKey, PasswordCheck};

/// The first ESPHome whose firmware can encrypt updates.
const ENCRYPTS_SINCE: (u32, u32) = (2026, 9);

/// The first ESPHome whose firmware checks passwords by SHA-256 when its client can do that, as this one can.
const SHA256_SINCE: (u32, u32) = (2025, 10);

/// From this ESPHome on, a key in `api:` alone demands encryption as well.
const API_KEY_DEMANDS_SINCE: (u32, u32) = (2027, 3);

/// What one attempt uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The OTA password.
    pub password: Option<Secret>,
    /// The key, and whether the image may travel in the clear.
    pub encryption: wakeflash_ota::Encryption,
}

/// The credentials for an attempt to deliver this build.
///
/// # Errors
/// The key is none, which ESPHome itself would have refused.
pub fn of_attempt(
    build: &Build,
    memory: Option<&DeviceMemory>,
    choice: PasswordChoice,
) -> Result<Credentials, Problem> {
    let own = encryption(&build.ota.encryption, build.esphome_version.as_deref())?;
    let installed = match (choice, memory) {
        (PasswordChoice::LastInstalled, Some(memory)) => memory,
        (PasswordChoice::LastInstalled | PasswordChoice::OfBuild, _) => {
            return Ok(Credentials { password: build.ota.password.clone(), encryption: own });
        }
    };
    let before = installed.installed_encryption.as_ref().unwrap_or(&Encryption::None);
    let before = encryption(before, installed.version())?;
    let encryption = match before {
        wakeflash_ota::Encryption::None => own,
        wakeflash_ota::Encryption::WhenOffered(key) if !is_required(&own) => {
            wakeflash_ota::Encryption::WhenOffered(key)
        }
        wakeflash_ota::Encryption::WhenOffered(key) | wakeflash_ota::Encryption::Required(key) => {
            wakeflash_ota::Encryption::Required(key)
        }
    };
    Ok(Credentials { password: installed.installed_password.clone(), encryption })
}

/// How a configuration wants its updates encrypted, when it was built with this ESPHome.
///
/// # Errors
/// The key is none.
pub fn encryption(
    configured: &Encryption,
    esphome_version: Option<&str>,
) -> Result<wakeflash_ota::Encryption, Problem> {
    let read = |key: &Secret| {
        EncryptionKey::from_base64(&key.0).ok_or_else(|| {
            Problem::new("ota.key", "The encryption key in the configuration is not valid.")
                .with_help(
                    "A key is 32 bytes in base64. ESPHome's documentation of `api:` generates one.",
                )
        })
    };
    Ok(match configured {
        Encryption::None => wakeflash_ota::Encryption::None,
        Encryption::Offered { key } => {
            if is_at_least(esphome_version, API_KEY_DEMANDS_SINCE) == Some(true) {
                wakeflash_ota::Encryption::Required(read(key)?)
            } else {
                wakeflash_ota::Encryption::WhenOffered(read(key)?)
            }
        }
        Encryption::Required { key, allow_plaintext: true } => {
            wakeflash_ota::Encryption::WhenOffered(read(key)?)
        }
        Encryption::Required { key, allow_plaintext: false } => {
            wakeflash_ota::Encryption::Required(read(key)?)
        }
    })
}

/// Which password checks of a device are answered that runs this ESPHome: MD5 only when it is known to have nothing
/// better.
#[must_use]
pub fn password_check(running_version: Option<&str>) -> PasswordCheck {
    match is_at_least(running_version, SHA256_SINCE) {
        Some(false) => PasswordCheck::AlsoMd5,
        Some(true) | None => PasswordCheck::Sha256,
    }
}

/// Whether the last installed build had a password or a key that the new one hasn't, so that a device which
/// refuses those of the new build may take those.
#[must_use]
pub fn last_installed_differ(build: &Build, memory: &DeviceMemory) -> bool {
    let OtaParameters { password, encryption, .. } = &build.ota;
    let old_password = memory.installed_password.as_ref();
    let old_key = memory.installed_encryption.as_ref().and_then(key_of);
    (old_password.is_some() && old_password != password.as_ref())
        || (old_key.is_some() && old_key != key_of(encryption))
}

/// What the user has to know before the device wakes: that its firmware can't take this build as it is
/// configured, or may not.
#[must_use]
pub fn warning(build: &Build, memory: Option<&DeviceMemory>) -> Option<Problem> {
    let demanded = encryption(&build.ota.encryption, build.esphome_version.as_deref())
        .is_ok_and(|own| is_required(&own));
    let (installed, version) = match memory {
        Some(memory) => (memory.installed_encryption.as_ref(), memory.version()),
        None => (None, None),
    };
    let cannot_encrypt =
        installed == Some(&Encryption::None) || is_at_least(version, ENCRYPTS_SINCE) == Some(false);
    if demanded && cannot_encrypt {
        let message = "The configuration requires encrypted updates, and the firmware on the device can't encrypt: \
                       it will not take this one.";
        let help = "Set `allow_plaintext_upload: true` below `ota: encryption:` for this one update and rebuild, or \
                    flash the device once over USB.";
        return Some(Problem::new("ota.device_cannot_encrypt", message).with_help(help));
    }
    let known = installed.is_some() || memory.is_some_and(|m| m.installed_password.is_some());
    if build.credentials_changed && !known {
        let message = "The OTA password or key is another one than at the last build, and the device may still have \
                       the old one, which Wakeflash doesn't know.";
        let help = "If the device refuses the update, put the old password or key back, install, and change it then.";
        return Some(Problem::new("ota.credentials_changed", message).with_help(help));
    }
    None
}

/// The key in a configuration.
#[must_use]
pub fn key_of(encryption: &Encryption) -> Option<&Secret> {
    match encryption {
        Encryption::None => None,
        Encryption::Offered { key } | Encryption::Required { key, .. } => Some(key),
    }
}

fn is_required(encryption: &wakeflash_ota::Encryption) -> bool {
    match encryption {
        wakeflash_ota::Encryption::Required(_) => true,
        wakeflash_ota::Encryption::None | wakeflash_ota::Encryption::WhenOffered(_) => false,
    }
}

/// `None`: the version isn't known or can't be read.
fn is_at_least(version: Option<&str>, (year, month): (u32, u32)) -> Option<bool> {
    let mut parts = version?.split('.');
    let own: (u32, u32) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some(own >= (year, month))
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
