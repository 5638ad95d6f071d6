//! Passwords and keys.

use crate::credentials::{self, Credentials, key_of};
use crate::device::DeviceId;
use crate::error::Problem;
use crate::time::Timestamp;
use crate::update::{
    Build, Delivery, Encryption, OtaMethod, PasswordChoice, Secret, Update, UpdateId, UpdateState,
};
use wakeflash_ota::EncryptionKey;

use super::Dispatch;

impl Dispatch {
    /// The password and the key for an attempt.
    ///
    /// # Errors
    /// See [`credentials::of_attempt`].
    pub fn credentials(
        &self,
        update: &Update,
        delivery: &Delivery,
        choice: PasswordChoice,
    ) -> Result<Credentials, Problem> {
        credentials::of_attempt(&delivery.build, self.memory(&update.name), choice)
    }

    /// Builds once more. When the device refuses the password of the build, the one that is on it now is tried, in the
    /// place of that of the last installed build.
    pub(super) fn retry_with_password(
        &mut self,
        device: &DeviceId,
        password: Secret,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let name = self.known_name(device).ok_or_else(|| self.no_configuration(device))?;
        self.retry(device, now)?;
        self.change_memory(&name).installed_password = Some(password);
        Ok(())
    }

    /// Whether another device is known to have this key, or may have it: one whose new key waits to be installed
    /// still has an older one. What stands in configurations that were never built here is not known.
    #[must_use]
    pub fn another_device_has(&self, key: &EncryptionKey, update: &Update) -> bool {
        let same = |encryption: &Encryption| {
            key_of(encryption).and_then(|own| EncryptionKey::from_base64(&own.0)).as_ref()
                == Some(key)
        };
        let built = self.updates.values().any(|other| {
            let waits = !other.state.kind().is_final();
            !other.is_of_the_file_of(update)
                && other.state.delivery().is_some_and(|delivery| {
                    let build = &delivery.build;
                    same(&build.ota.encryption) || (waits && build.credentials_changed)
                })
        });
        built
            || self.heard.iter().any(|(name, heard)| {
                !update.is_for(name) && heard.memory.installed_encryption.as_ref().is_some_and(same)
            })
    }

    /// Whether a device is known to have an encryption key, or to get one.
    pub(super) fn has_key(&self, device: &DeviceId, name: &str) -> bool {
        let has = |encryption: &Encryption| key_of(encryption).is_some();
        let waits = self.active(device).and_then(|update| update.state.delivery());
        let installed = self.memory(name).and_then(|memory| memory.installed_encryption.as_ref());
        waits.is_some_and(|delivery| has(&delivery.build.ota.encryption))
            || installed.is_some_and(has)
    }

    pub(super) fn has_other_credentials(&self, id: UpdateId, delivery: &Delivery) -> bool {
        let memory = self.updates.get(&id).and_then(|update| self.memory(&update.name));
        delivery.password == PasswordChoice::OfBuild
            && memory.is_some_and(|m| credentials::last_installed_differ(&delivery.build, m))
    }

    /// What the user has to know about the credentials of a build for this update.
    pub(super) fn credential_warning(&self, id: UpdateId, build: &Build) -> Option<Problem> {
        let update = self.updates.get(&id)?;
        credentials::warning(build, self.memory(&update.name))
    }

    /// Writes down whether the image travels encrypted.
    pub(super) fn note_encryption(&mut self, id: UpdateId, encrypted: bool, now: Timestamp) {
        if let Some(update) = self.change(id)
            && let UpdateState::Flashing { delivery, .. } = &mut update.state
        {
            delivery.encrypted = Some(encrypted);
            let asked = key_of(&delivery.build.ota.encryption).is_some();
            let text = match (encrypted, asked, delivery.build.ota.method) {
                (true, _, _) => "The firmware travels encrypted.",
                (false, _, OtaMethod::WebServer) => {
                    "The firmware travels in the clear: `ota: platform: web_server` can't encrypt it. `platform: esphome` \
                     can, with a key (ESPHome 2026.9 or newer)."
                }
                (false, true, OtaMethod::Native) => {
                    "The firmware travels in the clear: the device offers no encryption. After this install it does, \
                     if ESPHome 2026.9 or newer built it."
                }
                (false, false, OtaMethod::Native) => {
                    "The firmware travels in the clear: no key is configured. With a key under `api: encryption:`, \
                     or under `ota: encryption:` where there is no `api:`, later updates travel encrypted (ESPHome \
                     2026.9 or newer)."
                }
            };
            update.note(now, text);
        }
    }
}
