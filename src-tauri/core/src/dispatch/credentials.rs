//! Passwords and keys.

use crate::credentials;
use crate::credentials::{Credentials, key_of};
use crate::device::DeviceId;
use crate::error::Problem;
use crate::update::{Build, Delivery, Encryption, PasswordChoice, Secret, Update, UpdateId};
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

    /// Whether another device is known to have this key, or may have it: one whose new key waits to be installed
    /// still has an older one. What stands in configurations that were never built here is not known.
    #[must_use]
    pub fn another_device_has(&self, key: &EncryptionKey, update: &Update) -> bool {
        if !self.knows_the_files_of(update) {
            return true;
        }
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
            || self.devices.iter().any(|(name, heard)| {
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

    /// What the user has to know about the credentials of a build for this update.
    pub(super) fn credential_warning(&self, id: UpdateId, build: &Build) -> Option<Problem> {
        let update = self.updates.get(&id)?;
        credentials::warning(build, self.memory(&update.name))
    }

    /// The passwords and keys that are kept, so that no report contains them.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let key = |encryption: Option<&Encryption>| encryption.and_then(key_of).cloned();
        let remembered = self.devices.values().flat_map(|heard| {
            let memory = &heard.memory;
            let before = memory.before_install.as_ref();
            let keys = [
                key(memory.installed_encryption.as_ref()),
                key(before.and_then(|before| before.encryption.as_ref())),
            ];
            let passwords = [
                memory.installed_password.clone(),
                before.and_then(|before| before.password.clone()),
            ];
            keys.into_iter().chain(passwords).flatten()
        });
        let deliveries = self.updates.values().filter_map(|update| update.state.delivery());
        let of_builds = deliveries.flat_map(|delivery| {
            let ota = &delivery.build.ota;
            ota.password.clone().into_iter().chain(key(Some(&ota.encryption)))
        });
        remembered.chain(of_builds).collect()
    }
}
