use super::*;
use crate::identity::Claims;
use crate::time::Timestamp;
use crate::update::{Before, OtaMethod, Sha256, SourceFile};

const OLD: &str = "b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2w=";
const NEW: &str = "bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmU=";

fn secret(text: &str) -> Secret {
    Secret(text.to_owned())
}

fn key(text: &str) -> EncryptionKey {
    EncryptionKey::from_base64(text).unwrap()
}

fn offered(text: &str) -> Encryption {
    Encryption::Offered { key: secret(text) }
}

fn required(text: &str, allow_plaintext: bool) -> Encryption {
    Encryption::Required { key: secret(text), allow_plaintext }
}

fn build(encryption: Encryption) -> Build {
    Build {
        image: Sha256("0".repeat(64)),
        size: 1,
        config_hash: None,
        esphome_version: Some("2026.10.0".to_owned()),
        built_at: Timestamp::from_millis(0),
        name: "sleepy".to_owned(),
        mac_suffix: false,
        before: Before::default(),
        sources: Vec::<SourceFile>::new(),
        ota: OtaParameters {
            method: OtaMethod::Native,
            port: 3232,
            password: Some(secret("new")),
            encryption,
        },
        stamp: None,
        credentials_changed: false,
        address: None,
        deep_sleep: true,
        sleep_plan: None,
        api: None,
        boot_check: None,
        mdns: true,
    }
}

fn installed(encryption: Option<Encryption>) -> DeviceMemory {
    DeviceMemory {
        claims: Claims { version: Some("2026.10.0".to_owned()), ..Claims::default() },
        installed_password: Some(secret("old")),
        installed_encryption: encryption,
        ..DeviceMemory::default()
    }
}

#[test]
fn the_keys_say_what_may_travel_in_the_clear() {
    use wakeflash_ota::Encryption::{Required, WhenOffered};
    let cases = [
        (Encryption::None, "2026.10.0", wakeflash_ota::Encryption::None),
        (offered(NEW), "2026.10.0", WhenOffered(key(NEW))),
        (offered(NEW), "2027.2.9", WhenOffered(key(NEW))),
        (offered(NEW), "2027.3.0", Required(key(NEW))),
        (offered(NEW), "2027.3.0-dev", Required(key(NEW))),
        (offered(NEW), "2028.1.0", Required(key(NEW))),
        (required(NEW, false), "2026.10.0", Required(key(NEW))),
        (required(NEW, true), "2026.10.0", WhenOffered(key(NEW))),
        (required(NEW, true), "2028.1.0", WhenOffered(key(NEW))),
    ];
    for (configured, version, expected) in cases {
        assert_eq!(
            encryption(&configured, Some(version)),
            Ok(expected),
            "{configured:?} {version}"
        );
    }
    assert_eq!(encryption(&offered(NEW), None), Ok(WhenOffered(key(NEW))));
    assert_eq!(encryption(&offered("no key"), None).unwrap_err().code, "ota.key");
}

#[test]
fn the_last_installed_credentials_never_send_in_the_clear_what_either_wants_encrypted() {
    use wakeflash_ota::Encryption::{Required, WhenOffered};
    let cases = [
        (offered(NEW), Some(offered(OLD)), WhenOffered(key(OLD))),
        (required(NEW, false), Some(offered(OLD)), Required(key(OLD))),
        (offered(NEW), Some(required(OLD, false)), Required(key(OLD))),
        (Encryption::None, Some(required(OLD, false)), Required(key(OLD))),
        (Encryption::None, Some(offered(OLD)), WhenOffered(key(OLD))),
        // A password alone has changed.
        (required(NEW, false), Some(Encryption::None), Required(key(NEW))),
        (offered(NEW), None, WhenOffered(key(NEW))),
        (Encryption::None, None, wakeflash_ota::Encryption::None),
    ];
    for (new, old, expected) in cases {
        let memory = installed(old.clone());
        let build = build(new.clone());
        let first = of_attempt(&build, Some(&memory), PasswordChoice::OfBuild).unwrap();
        assert_eq!(first.password, Some(secret("new")));
        assert_eq!(first.encryption, encryption(&new, Some("2026.10.0")).unwrap());
        let second = of_attempt(&build, Some(&memory), PasswordChoice::LastInstalled).unwrap();
        assert_eq!(second.password, Some(secret("old")));
        assert_eq!(second.encryption, expected, "{new:?} after {old:?}");
    }
}

#[test]
fn there_is_a_second_choice_only_when_it_is_another_one() {
    let same = |encryption| {
        let mut memory = installed(encryption);
        memory.installed_password = Some(secret("new"));
        memory
    };
    assert!(last_installed_differ(&build(Encryption::None), &installed(None)));
    assert!(!last_installed_differ(&build(Encryption::None), &same(None)));
    assert!(!last_installed_differ(&build(offered(NEW)), &same(Some(Encryption::None))));
    assert!(!last_installed_differ(&build(offered(NEW)), &same(Some(required(NEW, true)))));
    assert!(last_installed_differ(&build(offered(NEW)), &same(Some(offered(OLD)))));
    assert!(last_installed_differ(&build(Encryption::None), &same(Some(offered(OLD)))));
    assert!(!last_installed_differ(&build(offered(NEW)), &DeviceMemory::default()));
}

#[test]
fn the_user_is_warned_of_what_can_not_work() {
    let code = |build: &Build, memory: &DeviceMemory| warning(build, Some(memory)).map(|w| w.code);
    let cannot = Some("ota.device_cannot_encrypt".to_owned());
    let strict = build(required(NEW, false));
    assert_eq!(code(&strict, &installed(Some(Encryption::None))), cannot);
    assert_eq!(code(&strict, &installed(Some(offered(OLD)))), None);
    assert_eq!(code(&strict, &installed(None)), None);
    assert_eq!(code(&build(required(NEW, true)), &installed(Some(Encryption::None))), None);
    assert_eq!(code(&build(offered(NEW)), &installed(Some(Encryption::None))), None);
    for (version, warned) in [("2026.8.3", true), ("2026.9.0", false), ("dev", false)] {
        let version = Some(version.to_owned());
        let claims = Claims { version, ..Claims::default() };
        let memory = DeviceMemory { claims, ..DeviceMemory::default() };
        assert_eq!(code(&strict, &memory).is_some(), warned, "{memory:?}");
    }
}

#[test]
fn the_user_is_warned_of_a_change_from_what_nobody_knows() {
    let changed = Build { credentials_changed: true, ..build(Encryption::None) };
    let code = |memory: Option<&DeviceMemory>| warning(&changed, memory).map(|w| w.code);
    let warned = Some("ota.credentials_changed".to_owned());
    assert_eq!(code(None), warned);
    assert_eq!(code(Some(&DeviceMemory::default())), warned);
    assert_eq!(code(Some(&installed(Some(Encryption::None)))), None);
    assert_eq!(warning(&build(Encryption::None), None), None);
}

#[test]
fn md5_is_for_firmware_that_is_known_to_be_old() {
    let cases = [
        (None, PasswordCheck::Sha256),
        (Some("unreadable"), PasswordCheck::Sha256),
        (Some("2025.9.3"), PasswordCheck::AlsoMd5),
        (Some("2025.10.0b1"), PasswordCheck::Sha256),
        (Some("2026.10.0"), PasswordCheck::Sha256),
    ];
    for (version, check) in cases {
        assert_eq!(password_check(version), check, "{version:?}");
    }
}
