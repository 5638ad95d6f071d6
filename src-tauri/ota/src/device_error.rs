//! The error bytes of ESPHome's OTA protocol.

use super::error::FailureClass;
use super::step::Step;

/// An error that the device reported with one byte in place of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceError {
    /// `80`: the greeting, or the first byte of the image, was not what the device expects.
    Magic,
    /// `81`: the device could not make room for the image.
    Prepare,
    /// `82`: the password is wrong.
    AuthInvalid,
    /// `83`: writing to flash failed.
    WritingFlash,
    /// `84`: the device could not finish the update.
    UpdateEnd,
    /// `85`: the device has not been reset since it was flashed over USB.
    InvalidBootstrapping,
    /// `86`: the flash size of the running firmware is wrong.
    WrongCurrentFlashConfig,
    /// `87`: the flash size of the new firmware is wrong.
    WrongNewFlashConfig,
    /// `88`: an ESP8266 has no room for the image.
    Esp8266NotEnoughSpace,
    /// `89`: the OTA partition of an ESP32 is too small.
    Esp32NotEnoughSpace,
    /// `8A`: the device has no OTA partition.
    NoUpdatePartition,
    /// `8B`: what arrived has another MD5 than what was sent.
    Md5Mismatch,
    /// `8C`: an RP2040 has no room for the image.
    Rp2040NotEnoughSpace,
    /// `8D`: the image's signature is missing or wrong.
    SignatureInvalid,
    /// `8E`: the device can't do this kind of update.
    UnsupportedType,
    /// `8F`: the partition table could not be verified.
    PartitionTableVerify,
    /// `90`: the partition table could not be written.
    PartitionTableUpdate,
    /// `91`: the bootloader could not be verified.
    BootloaderVerify,
    /// `92`: the bootloader could not be written.
    BootloaderUpdate,
    /// `93`: the image is not newer than the running firmware.
    VersionDowngrade,
    /// `94`: the device takes encrypted updates only.
    EncryptionRequired,
    /// `FF`: something else.
    Unknown,
    /// A byte between `95` and `FE`: an error that a newer ESPHome may have introduced.
    Unlisted(u8),
}

impl DeviceError {
    /// The error that a byte in the place of an answer stands for; `None` below `80`.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0x00..=0x7F => return None,
            0x80 => Self::Magic,
            0x81 => Self::Prepare,
            0x82 => Self::AuthInvalid,
            0x83 => Self::WritingFlash,
            0x84 => Self::UpdateEnd,
            0x85 => Self::InvalidBootstrapping,
            0x86 => Self::WrongCurrentFlashConfig,
            0x87 => Self::WrongNewFlashConfig,
            0x88 => Self::Esp8266NotEnoughSpace,
            0x89 => Self::Esp32NotEnoughSpace,
            0x8A => Self::NoUpdatePartition,
            0x8B => Self::Md5Mismatch,
            0x8C => Self::Rp2040NotEnoughSpace,
            0x8D => Self::SignatureInvalid,
            0x8E => Self::UnsupportedType,
            0x8F => Self::PartitionTableVerify,
            0x90 => Self::PartitionTableUpdate,
            0x91 => Self::BootloaderVerify,
            0x92 => Self::BootloaderUpdate,
            0x93 => Self::VersionDowngrade,
            0x94 => Self::EncryptionRequired,
            0xFF => Self::Unknown,
            0x95..=0xFE => Self::Unlisted(byte),
        })
    }

    /// The byte that stands for this error.
    #[must_use]
    pub fn byte(self) -> u8 {
        match self {
            Self::Magic => 0x80,
            Self::Prepare => 0x81,
            Self::AuthInvalid => 0x82,
            Self::WritingFlash => 0x83,
            Self::UpdateEnd => 0x84,
            Self::InvalidBootstrapping => 0x85,
            Self::WrongCurrentFlashConfig => 0x86,
            Self::WrongNewFlashConfig => 0x87,
            Self::Esp8266NotEnoughSpace => 0x88,
            Self::Esp32NotEnoughSpace => 0x89,
            Self::NoUpdatePartition => 0x8A,
            Self::Md5Mismatch => 0x8B,
            Self::Rp2040NotEnoughSpace => 0x8C,
            Self::SignatureInvalid => 0x8D,
            Self::UnsupportedType => 0x8E,
            Self::PartitionTableVerify => 0x8F,
            Self::PartitionTableUpdate => 0x90,
            Self::BootloaderVerify => 0x91,
            Self::BootloaderUpdate => 0x92,
            Self::VersionDowngrade => 0x93,
            Self::EncryptionRequired => 0x94,
            Self::Unknown => 0xFF,
            Self::Unlisted(byte) => byte,
        }
    }

    /// What to do about this error when it comes in the given step.
    #[must_use]
    pub fn class(self, step: Step) -> FailureClass {
        match self {
            // During the transfer an ESP32 says so about the image, which stays what it is. As an
            // answer to the greeting it comes from something that is not our device.
            Self::Magic if step >= Step::Prepare => FailureClass::Permanent,
            // It wants a password, or a key, of another build: that of its own firmware.
            Self::AuthInvalid | Self::EncryptionRequired => FailureClass::WrongPassword,
            // A sleeping device starts afresh at its wake, with all its memory free; that is also the
            // reset which an ESP8266 asks for after it was flashed over its serial port.
            Self::Magic | Self::Prepare | Self::WritingFlash | Self::InvalidBootstrapping => {
                FailureClass::NextWake
            }
            // Bytes were damaged on their way. Each try has written the whole image, so they are counted.
            Self::Md5Mismatch => FailureClass::NextWake,
            Self::Unknown | Self::Unlisted(_) => FailureClass::NextWake,
            Self::UpdateEnd
            | Self::WrongCurrentFlashConfig
            | Self::WrongNewFlashConfig
            | Self::Esp8266NotEnoughSpace
            | Self::Esp32NotEnoughSpace
            | Self::NoUpdatePartition
            | Self::Rp2040NotEnoughSpace
            | Self::SignatureInvalid
            | Self::UnsupportedType
            | Self::PartitionTableVerify
            | Self::PartitionTableUpdate
            | Self::BootloaderVerify
            | Self::BootloaderUpdate
            | Self::VersionDowngrade => FailureClass::Permanent,
        }
    }

    /// A stable identifier.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Magic => "ota.magic",
            Self::Prepare => "ota.prepare",
            Self::AuthInvalid => "ota.auth_invalid",
            Self::WritingFlash => "ota.writing_flash",
            Self::UpdateEnd => "ota.update_end",
            Self::InvalidBootstrapping => "ota.invalid_bootstrapping",
            Self::WrongCurrentFlashConfig => "ota.wrong_current_flash_config",
            Self::WrongNewFlashConfig => "ota.wrong_new_flash_config",
            Self::Esp8266NotEnoughSpace => "ota.esp8266_not_enough_space",
            Self::Esp32NotEnoughSpace => "ota.esp32_not_enough_space",
            Self::NoUpdatePartition => "ota.no_update_partition",
            Self::Md5Mismatch => "ota.md5_mismatch",
            Self::Rp2040NotEnoughSpace => "ota.rp2040_not_enough_space",
            Self::SignatureInvalid => "ota.signature_invalid",
            Self::UnsupportedType => "ota.unsupported_type",
            Self::PartitionTableVerify => "ota.partition_table_verify",
            Self::PartitionTableUpdate => "ota.partition_table_update",
            Self::BootloaderVerify => "ota.bootloader_verify",
            Self::BootloaderUpdate => "ota.bootloader_update",
            Self::VersionDowngrade => "ota.version_downgrade",
            Self::EncryptionRequired => "ota.encryption_required",
            Self::Unknown => "ota.device_unknown",
            Self::Unlisted(_) => "ota.device_unlisted",
        }
    }

    /// What happened, for the user.
    #[must_use]
    pub fn sentence(self, step: Step) -> String {
        if let Self::Unlisted(byte) = self {
            return format!(
                "The device reported error 0x{byte:02X}, which this version of Wakeflash doesn't know."
            );
        }
        self.words(step).0.to_owned()
    }

    /// What to do about it, for the user.
    #[must_use]
    pub fn help(self, step: Step) -> &'static str {
        self.words(step).1
    }

    /// What happened, and what to do.
    fn words(self, step: Step) -> (&'static str, &'static str) {
        match self {
            Self::Magic if step >= Step::Prepare => text::MAGIC_OF_IMAGE,
            Self::Magic => text::MAGIC_OF_GREETING,
            Self::Prepare => text::PREPARE,
            Self::AuthInvalid => text::AUTH_INVALID,
            Self::WritingFlash => text::WRITING_FLASH,
            Self::UpdateEnd => text::UPDATE_END,
            Self::InvalidBootstrapping => text::INVALID_BOOTSTRAPPING,
            Self::WrongCurrentFlashConfig => text::WRONG_CURRENT_FLASH_CONFIG,
            Self::WrongNewFlashConfig => text::WRONG_NEW_FLASH_CONFIG,
            Self::Esp8266NotEnoughSpace => text::ESP8266_NOT_ENOUGH_SPACE,
            Self::Esp32NotEnoughSpace => text::ESP32_NOT_ENOUGH_SPACE,
            Self::NoUpdatePartition => text::NO_UPDATE_PARTITION,
            Self::Md5Mismatch => text::MD5_MISMATCH,
            Self::Rp2040NotEnoughSpace => text::RP2040_NOT_ENOUGH_SPACE,
            Self::SignatureInvalid => text::SIGNATURE_INVALID,
            Self::UnsupportedType => text::UNSUPPORTED_TYPE,
            Self::PartitionTableVerify => text::PARTITION_TABLE_VERIFY,
            Self::PartitionTableUpdate => text::PARTITION_TABLE_UPDATE,
            Self::BootloaderVerify => text::BOOTLOADER_VERIFY,
            Self::BootloaderUpdate => text::BOOTLOADER_UPDATE,
            Self::VersionDowngrade => text::VERSION_DOWNGRADE,
            Self::EncryptionRequired => text::ENCRYPTION_REQUIRED,
            Self::Unknown => text::UNKNOWN,
            Self::Unlisted(_) => text::UNLISTED,
        }
    }
}

/// What happened and what to do, for the user.
mod text {
    type Words = (&'static str, &'static str);

    pub(super) const MAGIC_OF_IMAGE: Words = (
        "The device says that this is no firmware for it.",
        "Check that the configuration names the right board.",
    );
    pub(super) const MAGIC_OF_GREETING: Words = (
        "What answered did not understand the greeting of an update.",
        "Check that the address and port belong to this device.",
    );
    pub(super) const PREPARE: Words = (
        "The device could not make room for the firmware.",
        "Restart it. If that doesn't help, the firmware may be too large.",
    );
    pub(super) const AUTH_INVALID: Words = (
        "The device refused the OTA password.",
        "Enter the OTA password of the firmware that runs on it now, not that of the new one.",
    );
    pub(super) const WRITING_FLASH: Words = (
        "The device could not write the firmware to its flash.",
        "Restart it. If it happens again, flash it once over USB.",
    );
    pub(super) const UPDATE_END: Words = (
        "The device received the firmware but could not accept it.",
        "Check that the configuration names the right board.",
    );
    pub(super) const INVALID_BOOTSTRAPPING: Words = (
        "The device needs a reset after it was flashed over USB.",
        "Press its reset button once, or wait for its next wake.",
    );
    pub(super) const WRONG_CURRENT_FLASH_CONFIG: Words = (
        "The running firmware was built for another flash size.",
        "Choose the right board (esp01_1m always works) and flash it once over USB.",
    );
    pub(super) const WRONG_NEW_FLASH_CONFIG: Words = (
        "The new firmware was built for another flash size than the device has.",
        "Choose the right board in the configuration and build again.",
    );
    pub(super) const ESP8266_NOT_ENOUGH_SPACE: Words = (
        "The device has no room for a second firmware of this size.",
        "Flash a minimal firmware with nothing but OTA first, then this one.",
    );
    pub(super) const ESP32_NOT_ENOUGH_SPACE: Words = (
        "The firmware is larger than the device's OTA partition.",
        "Make the firmware smaller, or flash it once over USB to change the partitions.",
    );
    pub(super) const NO_UPDATE_PARTITION: Words =
        ("The device has no partition for updates.", "Flash it once over USB, which creates one.");
    pub(super) const MD5_MISMATCH: Words = (
        "The firmware was damaged on its way, and the device discarded it.",
        "It will be sent again. If this goes on, move the device closer to the access point.",
    );
    pub(super) const RP2040_NOT_ENOUGH_SPACE: Words = (
        "The device has no room for a second firmware of this size.",
        "Make the firmware smaller, or flash it over USB.",
    );
    pub(super) const SIGNATURE_INVALID: Words = (
        "The device refused the firmware because of its signature.",
        "Sign it with the key of the firmware that runs on the device.",
    );
    pub(super) const UNSUPPORTED_TYPE: Words =
        ("The device doesn't support this kind of update.", "Flash it once over USB.");
    pub(super) const PARTITION_TABLE_VERIFY: Words = (
        "The device could not verify its partition table.",
        "Nothing was changed. Flash it once over USB.",
    );
    pub(super) const PARTITION_TABLE_UPDATE: Words = (
        "The device could not write its partition table and may not start again.",
        "Keep it powered, and have a USB cable ready before you restart it.",
    );
    pub(super) const BOOTLOADER_VERIFY: Words = (
        "The device could not verify the bootloader.",
        "Nothing was changed. Flash it once over USB.",
    );
    pub(super) const BOOTLOADER_UPDATE: Words = (
        "The device could not write its bootloader and may not start again.",
        "Keep it powered, and have a USB cable ready before you restart it.",
    );
    pub(super) const VERSION_DOWNGRADE: Words = (
        "The device accepts only firmware newer than its own.",
        "Raise the project version in the configuration and build again.",
    );
    pub(super) const ENCRYPTION_REQUIRED: Words = (
        "The device takes encrypted updates only, and the configuration has no key.",
        "Put the encryption key of the firmware that runs on it now into the configuration.",
    );
    pub(super) const UNKNOWN: Words = (
        "The device reported an error without saying which.",
        "It will be tried again when the device wakes.",
    );
    pub(super) const UNLISTED: Words = (
        "The device reported an error.",
        "It will be tried again when the device wakes. A newer Wakeflash may know it.",
    );
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_byte_from_80_is_an_error_and_comes_back() {
        for byte in 0..=u8::MAX {
            match DeviceError::from_byte(byte) {
                None => assert!(byte < 0x80),
                Some(error) => assert_eq!(error.byte(), byte),
            }
        }
    }

    #[test]
    fn every_listed_error_has_its_own_code_and_a_sentence() {
        let mut codes = BTreeSet::new();
        for byte in (0x80..=0x94).chain([0xFF]) {
            let error = DeviceError::from_byte(byte).unwrap();
            assert!(codes.insert(error.code()), "{} is used twice", error.code());
            for step in [Step::Greeting, Step::Transfer] {
                for text in [error.sentence(step), error.help(step).to_owned()] {
                    assert!(text.ends_with('.') && !text.contains("  "), "{text}");
                }
            }
        }
    }
}
