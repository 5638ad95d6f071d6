//! Whether a firmware image can be one for its platform.

use wakeflash_core::error::Problem;

/// The first byte of an image for ESP chips.
const ESP_MAGIC: u8 = 0xE9;
const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];
const ELF_MAGIC: [u8; 4] = *b"\x7FELF";

/// Checks the beginning of an image, and that there is one.
///
/// # Errors
/// The image is empty, or doesn't begin as one for this platform does. A platform without a known magic
/// is only asked for bytes.
pub fn check(platform: Option<&str>, image: &[u8]) -> Result<(), Problem> {
    if image.is_empty() {
        return Err(Problem::new("image.empty", "The firmware image is empty.")
            .with_help("Clean the build files (`esphome clean`) and build again."));
    }
    let fits = match platform {
        Some("esp32") => image.first() == Some(&ESP_MAGIC),
        // An ESP8266 also unpacks gzip by itself.
        Some("esp8266") => image.first() == Some(&ESP_MAGIC) || image.starts_with(&GZIP_MAGIC),
        Some("host") => image.starts_with(&ELF_MAGIC),
        Some(_) | None => true,
    };
    if fits {
        Ok(())
    } else {
        let platform = platform.unwrap_or("this platform");
        Err(Problem::new("image.magic", format!("The firmware is no image for {platform}."))
            .with_help(
                "Take the image that is made for updates over the air, not the one for the cable.",
            ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_first_bytes() {
        let cases: [(Option<&str>, &[u8], bool); 9] = [
            (Some("esp32"), &[0xE9, 1], true),
            (Some("esp32"), &[0x1F, 0x8B], false),
            (Some("esp8266"), &[0xE9], true),
            (Some("esp8266"), &[0x1F, 0x8B, 8], true),
            (Some("esp8266"), b"\x7FELF", false),
            (Some("host"), b"\x7FELF\x02", true),
            (Some("host"), &[0xE9], false),
            (Some("rp2040"), &[0], true),
            (None, &[0], true),
        ];
        for (platform, image, fits) in cases {
            assert_eq!(check(platform, image).is_ok(), fits, "{platform:?} {image:?}");
        }
        assert_eq!(check(None, &[]).unwrap_err().code, "image.empty");
    }
}
