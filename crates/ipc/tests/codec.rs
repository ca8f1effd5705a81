//! The codec against arbitrary bytes and values.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use hull_ipc::State;
use hull_ipc::wire::{
    CgroupContext, CgroupFd, CgroupLayout, Command, ConsoleLogRequest, DeviceRule, Event, Header, Message,
    StateMask, Wanted, decode_text, encode_text, scalar,
};
use proptest::prelude::*;

/// Sizes around those of the structs, and any.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let sizes = prop_oneof![Just(24usize), Just(32), Just(40), Just(80), Just(96), Just(264), 0usize..300];
    sizes.prop_flat_map(|n| proptest::collection::vec(prop_oneof![Just(0u8), any::<u8>()], n))
}

fn state() -> impl Strategy<Value = State> {
    (0usize..8).prop_map(|i| State::ALL[i])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_bytes_never_panic_and_what_is_read_is_written_back(bytes in bytes()) {
        if let Some(mask) = StateMask::decode(&bytes) {
            prop_assert_eq!(StateMask::decode(&mask.encode()), Some(mask));
        }
        if let Some(message) = Message::decode(&bytes) {
            // Names that were not UTF-8 may grow and be cut; their event stays.
            prop_assert_eq!(Message::decode(&message.encode()).unwrap().event, message.event);
        }
        if let Some(request) = ConsoleLogRequest::decode(&bytes) {
            prop_assert_eq!(ConsoleLogRequest::decode(&request.encode()), Some(request));
        }
        if let Some(rule) = DeviceRule::decode(&bytes) {
            prop_assert_eq!(DeviceRule::decode(&rule.encode()), Some(rule));
        }
        if let Some(context) = CgroupContext::decode(&bytes) {
            prop_assert_eq!(CgroupContext::decode(&context.encode()), Some(context));
        }
        if let Some(fd) = CgroupFd::decode(&bytes) {
            prop_assert_eq!(CgroupFd::decode(&fd.encode()), Some(fd));
        }
        if let Some(text) = decode_text(&bytes) {
            prop_assert_eq!(encode_text(text), bytes);
        }
    }

    #[test]
    fn headers_round_trip(code in any::<i32>(), length in any::<i32>(), number in any::<i32>()) {
        let header = Header { code, length, scalar: scalar(number) };
        prop_assert_eq!(Header::decode(&header.encode()), header);
        prop_assert_eq!(header.int(), number);
    }

    #[test]
    fn messages_round_trip(name in "[a-zé]{0,80}", state in state()) {
        let message = Message { name, event: Event::State(state) };
        prop_assert_eq!(Message::decode(&message.encode()), Some(message));
    }
}

#[test]
fn known_bytes() {
    // As seen on the wire between stock 5.0.2's tools and monitor.
    let header = Header { code: 10, length: 32, scalar: 0 }.encode();
    assert_eq!(&header[..8], b"\n\0\0\0 \0\0\0");
    let mask = StateMask::any_of(&[State::Running]);
    assert_eq!(mask.encode()[8..12], [1, 0, 0, 0]);
    assert_eq!((mask.wants(State::Running), mask.wants(State::Stopped)), (Wanted::Yes, Wanted::No));
    let fd = CgroupFd {
        layout: CgroupLayout::Hybrid,
        utilities: 0,
        magic: hull_ipc::wire::CGROUP_MAGIC,
        controller: "pids".into(),
    };
    assert_eq!(&fd.encode()[..12], b"\x01\0\0\0\0\0\0\0\xeb\xe0'\0");
    assert_eq!(&fd.encode()[16..21], b"pids\0");
    let context = CgroupContext { layout: CgroupLayout::Hybrid, utilities: 0, count: 10 };
    assert_eq!(&context.encode()[..12], b"\x01\0\0\0\0\0\0\0\n\0\0\0");
    for command in Command::ALL {
        assert_eq!(Command::from_number(command.number()), Some(command));
    }
}
