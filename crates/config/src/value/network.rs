//! Addresses, gateways and numbers of network interfaces.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::error::{Fault, quoted};
use crate::value::scalar::parse_unsigned;

/// An IPv4 address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceAddress4 {
    /// The address.
    pub address: Ipv4Addr,
    /// The prefix length.
    pub prefix: u8,
    /// The broadcast address: the one given, or the last of the network.
    pub broadcast: Ipv4Addr,
}

/// An IPv6 address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceAddress6 {
    /// The address.
    pub address: Ipv6Addr,
    /// The prefix length; 64 unless given.
    pub prefix: u8,
}

/// The default gateway for IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gateway4 {
    /// The address of the interface `link` names on the host.
    Auto,
    /// A route through the device without a gateway.
    Device,
    /// This one.
    Address(Ipv4Addr),
}

/// The default gateway for IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gateway6 {
    /// The address of the interface `link` names on the host.
    Auto,
    /// A route through the device without a gateway.
    Device,
    /// This one.
    Address(Ipv6Addr),
}

/// A MAC address, or a template in which each `x` is to become a random digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HardwareAddress(pub [u8; 6]);

impl HardwareAddress {
    /// Reads six pairs of hexadecimal digits without `x`.
    pub fn parse(value: &str) -> Result<Self, Fault> {
        check_hardware_address(value)?;
        let mut bytes = [0; 6];
        for (byte, pair) in bytes.iter_mut().zip(value.split(':')) {
            *byte = u8::from_str_radix(pair, 16).map_err(|_| {
                Fault::new(format!("{} is still a template", quoted(value)), "fill its x in before use")
            })?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for HardwareAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl InterfaceAddress4 {
    /// Reads `ADDRESS[/PREFIX] [BROADCAST]`. Without a prefix the address's old class decides, as in LXC's
    /// documentation (LXC 5.0 itself takes 8 for every address).
    pub fn parse(value: &str) -> Result<Self, Fault> {
        let fault = || address_fault(value, "an IPv4 address", "10.0.3.5/24");
        let (network, broadcast) = match value.split_once(char::is_whitespace) {
            Some((network, broadcast)) => (network, Some(broadcast.trim().parse().map_err(|_| fault())?)),
            None => (value, None),
        };
        let (address, prefix) = split_prefix(network, 32).ok_or_else(fault)?;
        let address: Ipv4Addr = address.parse().map_err(|_| fault())?;
        let prefix = prefix.unwrap_or(match address.octets()[0] {
            0..128 => 8,
            128..192 => 16,
            192.. => 24,
        });
        let host_bits = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
        let last = Ipv4Addr::from_bits(address.to_bits() | host_bits);
        Ok(Self { address, prefix, broadcast: broadcast.unwrap_or(last) })
    }
}

impl fmt::Display for InterfaceAddress4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl InterfaceAddress6 {
    /// Reads `ADDRESS[/PREFIX]`.
    pub fn parse(value: &str) -> Result<Self, Fault> {
        let fault = || address_fault(value, "an IPv6 address", "2001:db8::5/64");
        let (address, prefix) = split_prefix(value, 128).ok_or_else(fault)?;
        Ok(Self { address: address.parse().map_err(|_| fault())?, prefix: prefix.unwrap_or(64) })
    }
}

impl fmt::Display for InterfaceAddress6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

macro_rules! gateway {
    ($gateway:ident, $address:ty, $what:literal, $example:literal) => {
        impl $gateway {
            /// Reads an address, `auto` or `dev`.
            pub fn parse(value: &str) -> Result<Self, Fault> {
                match value {
                    "auto" => Ok(Self::Auto),
                    "dev" => Ok(Self::Device),
                    _ => value
                        .parse::<$address>()
                        .map(Self::Address)
                        .map_err(|_| address_fault(value, $what, $example)),
                }
            }
        }

        impl fmt::Display for $gateway {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    Self::Auto => f.write_str("auto"),
                    Self::Device => f.write_str("dev"),
                    Self::Address(address) => address.fmt(f),
                }
            }
        }
    };
}

gateway!(Gateway4, Ipv4Addr, "an IPv4 gateway", "10.0.3.1, auto or dev");
gateway!(Gateway6, Ipv6Addr, "an IPv6 gateway", "fe80::1, auto or dev");

pub(crate) fn parse_network4(value: &str) -> Result<String, Fault> {
    let fault = || address_fault(value, "an IPv4 network", "10.0.3.0/24");
    let (address, prefix) = split_prefix(value, 32).ok_or_else(fault)?;
    let address: Ipv4Addr = address.parse().map_err(|_| fault())?;
    Ok(format!("{address}/{}", prefix.ok_or_else(fault)?))
}

pub(crate) fn parse_network6(value: &str) -> Result<String, Fault> {
    let fault = || address_fault(value, "an IPv6 network", "2001:db8::/64");
    let (address, prefix) = split_prefix(value, 128).ok_or_else(fault)?;
    let address: Ipv6Addr = address.parse().map_err(|_| fault())?;
    Ok(format!("{address}/{}", prefix.ok_or_else(fault)?))
}

/// Checks a MAC address or a template.
pub(crate) fn check_hardware_address(value: &str) -> Result<(), Fault> {
    let digit = |byte: u8| byte.is_ascii_hexdigit() || byte.eq_ignore_ascii_case(&b'x');
    let pair = |text: &str| text.len() == 2 && text.bytes().all(digit);
    if value.split(':').count() == 6 && value.split(':').all(pair) {
        return Ok(());
    }
    Err(address_fault(value, "a hardware address", "00:16:3e:xx:xx:xx"))
}

/// The kernel's rule (`dev_valid_name`): 1 to 15 bytes without `/`, `:` or blanks, not `.` or `..`.
pub(crate) fn check_interface_name(value: &str) -> Result<(), Fault> {
    let invalid = |c: char| c == '/' || c == ':' || c.is_whitespace();
    if value.is_empty() || value.len() > 15 || value.contains(invalid) || value == "." || value == ".." {
        return Err(Fault::new(
            format!("{} is not the name of an interface", quoted(value)),
            "use 1 to 15 characters without blanks, \"/\" or \":\"",
        ));
    }
    Ok(())
}

pub(crate) fn parse_mtu(value: &str) -> Result<u32, Fault> {
    bounded(value, 1, i32::MAX as u32, "an MTU")
}

/// `IFLA_NUM_TX_QUEUES` and `IFLA_NUM_RX_QUEUES` go up to 4096.
pub(crate) fn parse_queues(value: &str) -> Result<u32, Fault> {
    bounded(value, 1, 4096, "a number of queues")
}

pub(crate) fn parse_vlan_id(value: &str) -> Result<u32, Fault> {
    bounded(value, 0, 4094, "a VLAN id")
}

/// LXC lets any 16-bit number pass here; the kernel takes ids up to 4095 only.
pub(crate) fn parse_vlan_tag(value: &str) -> Result<u32, Fault> {
    bounded(value, 0, 4095, "a VLAN id")
}

fn bounded(value: &str, least: u32, most: u32, what: &str) -> Result<u32, Fault> {
    parse_unsigned(value).ok().filter(|number| (least..=most).contains(number)).ok_or_else(|| {
        Fault::new(
            format!("{} is not {what}", quoted(value)),
            format!("write a number from {least} to {most}"),
        )
    })
}

fn split_prefix(value: &str, most: u8) -> Option<(&str, Option<u8>)> {
    let Some((address, prefix)) = value.split_once('/') else { return Some((value, None)) };
    let prefix = prefix.bytes().all(|byte| byte.is_ascii_digit()).then(|| prefix.parse().ok())??;
    (prefix <= most).then_some((address, Some(prefix)))
}

fn address_fault(value: &str, what: &str, example: &str) -> Fault {
    Fault::new(format!("{} is not {what}", quoted(value)), format!("write it like {example}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let address = InterfaceAddress4::parse("10.0.0.3/24 10.0.0.254").unwrap();
        assert_eq!((address.to_string(), address.broadcast.octets()[3]), ("10.0.0.3/24".into(), 254));
        let address = InterfaceAddress4::parse("192.168.0.1").unwrap();
        assert_eq!((address.prefix, address.broadcast.octets()), (24, [192, 168, 0, 255]));
        assert_eq!(InterfaceAddress4::parse("1.2.3.4/0").unwrap().broadcast, Ipv4Addr::BROADCAST);
        assert_eq!(InterfaceAddress4::parse("1.2.3.4/32").unwrap().broadcast, Ipv4Addr::new(1, 2, 3, 4));
        for text in ["", "300.0.0.1/24", "10.0.0.1/99", "10.0.0.1/", "10.0.0.1/24 x", "10.0.0.1/+4"] {
            assert!(InterfaceAddress4::parse(text).is_err(), "{text}");
        }
        assert_eq!(InterfaceAddress6::parse("fe80::1").unwrap().to_string(), "fe80::1/64");
        assert!(InterfaceAddress6::parse("fe80::1/129").is_err());
        assert_eq!(Gateway4::parse("dev"), Ok(Gateway4::Device));
        assert!(Gateway4::parse("bogus").is_err());
    }

    #[test]
    fn hardware_addresses() {
        assert_eq!(HardwareAddress::parse("00:16:3E:01:02:03").unwrap().to_string(), "00:16:3e:01:02:03");
        assert!(check_hardware_address("00:16:3e:xx:xX:0x").is_ok());
        for text in
            ["", "zz", "00:16:3e:xx:xx:xx", "00:16:3e:01:02", "00:16:3e:01:02:0g", "00:16:3e:01:02:003"]
        {
            assert!(HardwareAddress::parse(text).is_err(), "{text}");
        }
    }
}
