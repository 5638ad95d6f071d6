//! Whether a file alone says where its device is. What other files, tags or expressions have a say in is left to
//! ESPHome.

use crate::device::AddressClaim;

/// The sections that name an address.
const NETWORKS: [&str; 3] = ["wifi", "ethernet", "openthread"];

/// What was met in a file that makes it more, or less, than what stands there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Certainty {
    /// It has a section that only devices have, or may get one.
    device: bool,
    /// Something else has a say in the address.
    uncertain: bool,
}

impl Certainty {
    /// The file's next document; ESPHome may take the second one for the configuration.
    pub(super) const fn document(&mut self, number: usize) {
        if number > 1 {
            self.computed_as_a_whole();
        }
    }

    /// A key at this depth.
    pub(super) fn key(&mut self, depth: usize, key: &str) {
        let merges = key == "<<";
        let whole = depth == 1 && (merges || key == "packages" || key.contains('$'));
        self.device |= whole || (depth == 1 && matches!(key, "esphome" | "esphomeyaml"));
        self.uncertain |= whole || merges;
    }

    /// A key, with where it stands.
    pub(super) fn place(&mut self, place: &[String]) {
        if let [section, .., key] = place
            && NETWORKS.contains(&section.as_str())
        {
            // Further networks of `wifi:` may have addresses of their own.
            let known = match place.len() {
                2 => matches!(key.as_str(), "use_address" | "manual_ip"),
                3 => place.get(1).is_some_and(|above| above == "manual_ip") && key == "static_ip",
                _ => false,
            };
            let says = matches!(key.as_str(), "use_address" | "manual_ip" | "static_ip");
            self.uncertain |= (says && !known) || key.contains('$');
        }
    }

    /// What stands here is worked out by ESPHome.
    pub(super) fn computed(&mut self, place: &[String]) {
        match place {
            [] => self.computed_as_a_whole(),
            [section, ..] => self.uncertain |= NETWORKS.contains(&section.as_str()),
        }
    }

    const fn computed_as_a_whole(&mut self) {
        self.device = true;
        self.uncertain = true;
    }

    /// What is sure about a file in which this address was read.
    pub(super) fn about(self, address: Option<&str>) -> AddressClaim {
        match self {
            Self { device: false, .. } => AddressClaim::NoDevice,
            Self { uncertain: true, .. } => AddressClaim::Unknown,
            Self { .. } => AddressClaim::Names(address.map(str::to_owned)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{parse, summarize};
    use super::*;

    fn claim(text: &str) -> AddressClaim {
        summarize("stem", &[parse(text).unwrap()], None).claim
    }

    #[test]
    fn a_plain_file_says_all_about_its_address() {
        let names = |address: &str| AddressClaim::Names(Some(address.to_owned()));
        let ethernet =
            "esphome:\n  name: a\nethernet:\n  use_address: 192.0.2.1\nlogger: !include l.yaml\n";
        assert_eq!(claim(ethernet), names("192.0.2.1"));
        let wifi =
            "esphome:\n  name: a\nwifi:\n  ssid: a\n  manual_ip:\n    static_ip: 192.0.2.1\n";
        assert_eq!(claim(wifi), names("192.0.2.1"));
        assert_eq!(claim("esphome:\n  name: ${x}\nhost:\n"), AddressClaim::Names(None));
    }

    #[test]
    fn what_only_esphome_can_work_out_is_unknown() {
        for more in [
            "ethernet:\n  use_address: !secret ip\n",
            "ethernet:\n  use_address: $ip\n",
            "ethernet:\n  use_address: ${ x ~ y }\n",
            "ethernet: !include net.yaml\n",
            "ethernet: !include {file: net.yaml}\n",
            "x: &e {use_address: 192.0.2.1}\nethernet: *e\n",
            "x: &e {use_address: 192.0.2.1}\nethernet:\n  <<: *e\n",
            "wifi:\n  networks:\n    - ssid: a\n      manual_ip:\n        static_ip: 192.0.2.1\n",
            "packages:\n  a: !include a.yaml\n",
            "packages: {a: {ethernet: {use_address: 192.0.2.1}}}\n",
            "<<: !include a.yaml\n",
            "${key}:\n  use_address: 192.0.2.1\n",
            "---\nesphome:\n  name: b\n",
        ] {
            let text = format!("esphome:\n  name: a\n{more}");
            assert_eq!(claim(&text), AddressClaim::Unknown, "{more}");
        }
    }

    #[test]
    fn a_file_without_what_a_device_needs_is_none() {
        for text in
            ["wifi:\n  use_address: 192.0.2.1\n", "wifi: !include w.yaml\n", "x: {esphome: }\n"]
        {
            assert_eq!(claim(text), AddressClaim::NoDevice, "{text}");
        }
        for text in
            ["packages: !include a.yaml\n", "<<: !include a.yaml\n", "a: b\n---\nesphome:\n"]
        {
            assert_eq!(claim(text), AddressClaim::Unknown, "{text}");
        }
    }
}
