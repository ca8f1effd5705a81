//! Random hardware addresses for templates and clones.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use crate::config::{Assigns, Config, OwnLine};
use crate::edit::with_value;
use crate::error::Result;
use crate::keys;
use crate::value::{HardwareAddress, Value};

/// What becomes of the hardware addresses a container already has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HardwareAddresses {
    /// They stay; only templates are filled in.
    Keep,
    /// They are drawn anew, as a clone needs: two containers on one bridge must not share an address.
    Renew,
}

/// Vendor prefixes LXC gives its addresses: up to 6.0 (Xen's) and from 7.0 on.
const VENDORS: [&str; 2] = ["00:16:3e", "10:66:6a"];

impl Config {
    /// Fills the `x` of every `lxc.net.N.hwaddr` in the container's own text at random and, with
    /// [`HardwareAddresses::Renew`], draws the other addresses anew within LXC's vendor prefixes.
    /// Returns how many addresses changed.
    pub fn randomise_hwaddr(&mut self, existing: HardwareAddresses) -> Result<usize> {
        let mut changed = 0;
        let mut lines = self.modern_lines();
        for line in &mut lines {
            let Assigns::Own { key, value } = &line.assigns else { continue };
            let is_address = keys::lookup(key).is_some_and(|key| key.spec.value == Value::HardwareAddress)
                && !value.is_empty();
            let template = match existing {
                _ if !is_address => continue,
                HardwareAddresses::Keep if !is_template(value) => continue,
                HardwareAddresses::Renew if !is_template(value) => renewed(value),
                _ => value.clone(),
            };
            let value = fill(&template);
            let assigns = Assigns::Own { key: key.clone(), value: value.clone() };
            *line = with_value(line, &value, &OwnLine { text: line.text.clone(), assigns });
            changed += 1;
        }
        if changed > 0 {
            self.commit(lines)?;
        }
        Ok(changed)
    }
}

impl crate::Network<'_> {
    /// `hwaddr`; a template, which an included file may hold, is filled in at random on each call.
    pub fn hardware_address(self) -> Result<Option<HardwareAddress>> {
        self.parse("hwaddr", |value| HardwareAddress::parse(&fill(value)))
            .map(|values| values.last().copied())
    }
}

/// Replaces each `x` by a random digit, such that the address is no multicast address.
pub(crate) fn fill(template: &str) -> String {
    // Each `RandomState` has other keys, the first drawn from the kernel; no secrecy is needed.
    let mut random = RandomState::new().build_hasher().finish();
    let fill = |(index, c): (usize, char)| {
        if !c.eq_ignore_ascii_case(&'x') {
            return c;
        }
        let digit = (random & 0xf) as u32;
        random >>= 4;
        // The lowest bit of the first byte, the second digit, marks a group of receivers.
        let digit = if index == 1 { digit & 0xe } else { digit };
        char::from_digit(digit, 16).unwrap_or('0')
    };
    template.chars().enumerate().map(fill).collect()
}

fn is_template(value: &str) -> bool {
    value.contains(['x', 'X'])
}

fn renewed(value: &str) -> String {
    let vendor = VENDORS.into_iter().find(|vendor| value.to_ascii_lowercase().starts_with(vendor));
    format!("{}:xx:xx:xx", vendor.unwrap_or(VENDORS[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_and_stay_unicast() {
        for _ in 0..200 {
            let filled = fill("xx:16:3e:xX:xx:xx");
            let address = HardwareAddress::parse(&filled).unwrap();
            assert_eq!((address.0[0] & 1, address.0[1]), (0, 0x16), "{filled}");
        }
        assert_ne!(fill("00:16:3e:xx:xx:xx"), fill("00:16:3e:xx:xx:xx"), "one in 16 million");
    }

    #[test]
    fn clones_get_other_addresses() {
        let text = "lxc.net.0.type = veth\nlxc.net.0.hwaddr = 10:66:6a:01:02:03\n# note\nlxc.net.1.type=veth\n  lxc.net.1.hwaddr=aa:bb:cc:dd:ee:ff";
        let mut config = Config::parse(text.as_bytes(), "c".as_ref(), None).unwrap();
        assert_eq!(config.randomise_hwaddr(HardwareAddresses::Keep).unwrap(), 0);
        assert_eq!(config.to_text(), text.as_bytes());
        assert_eq!(config.randomise_hwaddr(HardwareAddresses::Renew).unwrap(), 2);
        let first = config.get("lxc.net.0.hwaddr").unwrap();
        assert!(first.starts_with("10:66:6a:") && first != "10:66:6a:01:02:03", "{first}");
        assert!(config.get("lxc.net.1.hwaddr").unwrap().starts_with("00:16:3e:"));
        let text = String::from_utf8(config.to_text()).unwrap();
        assert!(text.contains("# note\nlxc.net.1.type=veth\n  lxc.net.1.hwaddr=00:16:3e:"), "{text}");
    }
}
