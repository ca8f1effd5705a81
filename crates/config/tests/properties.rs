//! What holds for every text and every change.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::path::Path;

use hull_config::keys::{Family, KEYS, NET_KEYS};
use hull_config::{Config, HardwareAddresses};
use proptest::collection::vec;
use proptest::prelude::*;

const ORIGIN: &str = "/l/c/config";

fn parse(text: &[u8]) -> hull_config::Result<Config> {
    Config::parse(text, Path::new(ORIGIN), None)
}

/// A key that exists.
fn key() -> impl Strategy<Value = String> {
    let plain = (0..KEYS.len(), "[a-z]{1,6}").prop_map(|(index, suffix)| match KEYS[index].family {
        Family::Exact => KEYS[index].name.to_owned(),
        Family::Net => "lxc.net.1".to_owned(),
        _ => format!("{}.{suffix}", KEYS[index].name),
    });
    let net =
        (0..3_u32, 0..NET_KEYS.len()).prop_map(|(n, index)| format!("lxc.net.{n}.{}", NET_KEYS[index].name));
    prop_oneof![3 => plain, 1 => net]
}

/// A value, often one that some key takes.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        prop::sample::select(vec![
            "0",
            "1",
            "5",
            "veth",
            "macvlan",
            "bridge",
            "up",
            "chown kill",
            "none",
            "u 0 100000 65536",
            "pid net",
            "5s",
            "/a b none bind 0 0",
            "proc:mixed sys",
            "A=b",
            "dir:/l/c/rootfs",
            "SIGTERM",
            "10.0.0.1/24",
            "5:6",
            "/l/c/x",
            "00:16:3e:xx:xx:xx",
            "\"quoted\"",
            " padded ",
            "'",
            "\"",
            "x86_64",
        ])
        .prop_map(ToOwned::to_owned),
        "[ -~]{0,20}",
        "\\PC{0,10}",
    ]
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (key(), value(), "[ \t]{0,2}").prop_map(|(key, value, blank)| format!("{blank}{key}{blank}= {value}")),
        1 => "#[ -~]{0,20}",
        1 => Just(String::new()),
        1 => Just("lxc.network.type = veth".to_owned()),
        1 => Just("lxc.utsname = old".to_owned()),
    ]
}

/// A text of lines that are mostly accepted: those that would be refused are left out one by one.
fn config() -> impl Strategy<Value = Config> {
    (vec(line(), 0..15), any::<bool>()).prop_map(|(lines, ended)| {
        let mut text = String::new();
        for line in lines {
            let longer = format!("{text}{line}\n");
            if parse(longer.as_bytes()).is_ok() {
                text = longer;
            }
        }
        if !ended && text.ends_with('\n') {
            text.pop();
        }
        parse(text.as_bytes()).unwrap()
    })
}

/// All values as LXC prints them.
fn printed(config: &Config) -> Vec<(String, Option<String>)> {
    let nets = (0..4).flat_map(|n| config.keys(&format!("lxc.net.{n}")));
    let set = config.settings().iter().map(|setting| setting.key.clone());
    let keys: std::collections::BTreeSet<String> =
        config.keys("").into_iter().chain(nets).chain(set).collect();
    keys.into_iter().map(|key| (key.clone(), config.get(&key))).collect()
}

/// As [`printed`] without the settings' keys, which a change of text may drop.
fn in_effect(config: &Config) -> Vec<(String, Option<String>)> {
    printed(config)
        .into_iter()
        .filter(|(_, value)| value.as_deref().is_some_and(|value| !value.is_empty()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused_in_one_line(bytes in vec(any::<u8>(), 0..400)) {
        if let Err(error) = parse(&bytes) {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn any_settings_are_read_or_refused_in_one_line(lines in vec(line(), 0..12)) {
        let text = lines.join("\n");
        match parse(text.as_bytes()) {
            Ok(config) => prop_assert_eq!(config.to_text(), text.as_bytes()),
            Err(error) => {
                prop_assert!(!error.to_string().contains('\n'));
                prop_assert!(error.line().is_some());
            }
        }
    }

    #[test]
    fn what_is_set_is_what_is_got_and_what_is_read_back(config in config(), key in key(), value in value()) {
        let mut changed = config.clone();
        match changed.set(&key, &value) {
            Err(_) => {
                prop_assert_eq!(changed.to_text(), config.to_text());
                prop_assert_eq!(printed(&changed), printed(&config));
            }
            Ok(()) => {
                let again = parse(&changed.to_text()).unwrap();
                prop_assert_eq!(printed(&changed), printed(&again));
                let last = changed.values(&key).last();
                if value.is_empty() {
                    prop_assert_eq!(last, None);
                } else if !value.contains(['x', 'X']) && !value.contains(char::is_whitespace) && !value.contains(',') {
                    prop_assert_eq!(last, Some(value.as_str()));
                }
                let comments = |config: &Config| config.to_text().split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"#")).count();
                prop_assert!(comments(&changed) >= comments(&config), "comments stay");
            }
        }
    }

    #[test]
    fn clearing_clears_and_nothing_else(config in config(), key in key()) {
        let mut changed = config.clone();
        if changed.clear(&key).is_ok() {
            prop_assert_eq!(changed.values(&key).next(), None);
            let again = parse(&changed.to_text()).unwrap();
            prop_assert_eq!(in_effect(&changed), in_effect(&again));
            if !key.starts_with("lxc.net") {
                let others = |config: &Config| in_effect(config).into_iter().filter(|(name, _)| !key.starts_with(name.as_str())).collect::<Vec<_>>();
                prop_assert_eq!(others(&changed), others(&config));
            }
        }
    }

    #[test]
    fn moving_a_directory_twice_is_moving_it_once(config in config()) {
        let mut moved = config;
        moved.replace_path_prefix(Path::new("/l/c"), Path::new("/l/d")).unwrap();
        let once = moved.to_text();
        prop_assert_eq!(moved.replace_path_prefix(Path::new("/l/c"), Path::new("/l/d")).unwrap(), 0);
        prop_assert_eq!(moved.to_text(), once);
    }

    #[test]
    fn drawing_addresses_touches_nothing_else(config in config()) {
        let mut drawn = config.clone();
        drawn.randomise_hwaddr(HardwareAddresses::Renew).unwrap();
        let others = |config: &Config| printed(config).into_iter().filter(|(key, _)| !key.ends_with("hwaddr")).collect::<Vec<_>>();
        prop_assert_eq!(others(&drawn), others(&config));
    }
}
