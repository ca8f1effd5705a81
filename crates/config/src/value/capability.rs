//! Capabilities by name and number (`capabilities`(7)).

use hull_sys::capability::NAMES;

use crate::error::{Fault, quoted};
use crate::keys::nearest;

/// One capability, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability(u8);

impl Capability {
    /// Reads a lower-case name without `cap_`, or a number up to 63, the last a kernel can hold.
    pub fn parse(value: &str) -> Result<Self, Fault> {
        if value.bytes().all(|byte| byte.is_ascii_digit())
            && let Some(number) = value.parse().ok().filter(|number| *number < 64)
        {
            return Ok(Self(number));
        }
        if let Some(number) = NAMES.iter().position(|name| *name == value) {
            return Ok(Self(u8::try_from(number).unwrap_or(u8::MAX)));
        }
        let lower = value.to_ascii_lowercase();
        let known = nearest(
            lower.strip_prefix("cap_").unwrap_or(&lower).get(..32).unwrap_or(&lower),
            NAMES.into_iter(),
        );
        Err(Fault::new(
            format!("{} is not a capability", quoted(value)),
            format!("write its lower-case name without \"cap_\"; {known} is closest"),
        ))
    }

    /// The capability's number.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The capability's name, unless it is newer than this table.
    pub fn name(self) -> Option<&'static str> {
        NAMES.get(usize::from(self.0)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!(Capability::parse("sys_time").unwrap().number(), 25);
        assert_eq!(Capability::parse("checkpoint_restore").unwrap().number(), 40);
        assert_eq!(Capability::parse("12").unwrap().name(), Some("net_admin"));
        for text in ["", "CAP_SYS_TIME", "sys_tim", "999", "64", "+5", "none"] {
            assert!(Capability::parse(text).is_err(), "{text}");
        }
    }
}
