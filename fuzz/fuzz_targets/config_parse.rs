//! A container's configuration: reading never panics, the text survives, changes stay consistent.

#![no_main]

use std::path::Path;

use hull_config::{Config, HardwareAddresses};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(config) = Config::parse(data, Path::new("/l/c/config"), None).map_err(|error| {
        let message = error.to_string();
        assert!(!message.chars().any(char::is_control), "{message:?}");
    }) else {
        return;
    };
    assert_eq!(config.to_text(), data, "an unchanged text is given back as it was");
    read(&config);

    // Every setting in effect can be set again, and what is in effect is what the text says.
    let mut changed = config.clone();
    for setting in config.settings().iter().take(8) {
        changed.clear(&setting.key).expect("what was set can be cleared");
        // Its rival may be set, or its network's type be gone: refusing is right, panicking is not.
        let _refused = changed.set(&setting.key, &setting.value);
    }
    let _refused = changed.replace_path_prefix(Path::new("/a"), Path::new("/b c"));
    changed.randomise_hwaddr(HardwareAddresses::Renew).expect("addresses can always be drawn anew");
    let again =
        Config::parse(&changed.to_text(), Path::new("/l/c/config"), None).expect("what Hull writes it reads");
    for key in changed.keys("").iter().chain(&changed.keys("lxc.net.0")) {
        assert_eq!(changed.get(key), again.get(key), "{key}");
    }
});

/// Asks for everything there is.
fn read(config: &Config) {
    for setting in config.settings() {
        let _printed = config.get(&setting.key);
    }
    let _unset = config.keys("").iter().map(|key| config.get(key)).count();
    config.personality().expect("checked while reading");
    config.mount_entries().expect("checked while reading");
    config.auto_mounts().expect("checked while reading");
    config.capabilities().expect("checked while reading");
    config.limits().expect("checked while reading");
    config.signals().expect("checked while reading");
    config.time_offsets().expect("checked while reading");
    config.namespaces().expect("checked while reading");
    config.console().expect("checked while reading");
    config.environment().expect("checked while reading");
    config.init_groups().expect("checked while reading");
    config.start_order().expect("checked while reading");
    let _overlap = config.id_maps();
    for network in config.networks() {
        network.ipv4_addresses().expect("checked while reading");
        network.ipv6_addresses().expect("checked while reading");
        network.ipv4_gateway().expect("checked while reading");
        network.hardware_address().expect("checked while reading");
        network.number("mtu").expect("checked while reading");
    }
}
