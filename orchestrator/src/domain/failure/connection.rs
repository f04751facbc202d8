//! Failures of the connection to a device.

use super::kind::{FailureKind, KindFacts};
use super::{Blame, Retry};

pub(super) const CONNECTION: &[KindFacts] = &[
    KindFacts {
        kind: FailureKind::Unreachable,
        word: "unreachable",
        blame: Blame::Transport,
        retry: Retry::Infrastructure,
        remedy: "check power, cable and address of the device",
    },
    KindFacts {
        kind: FailureKind::Refused,
        word: "refused",
        blame: Blame::Transport,
        retry: Retry::Infrastructure,
        remedy: "start the ssh or adb server, or correct the port in the farm file",
    },
    KindFacts {
        kind: FailureKind::NameUnknown,
        word: "name_unknown",
        blame: Blame::User,
        retry: Retry::Never,
        remedy: "correct the host in the farm file, or add it to ~/.ssh/config",
    },
    KindFacts {
        kind: FailureKind::LoginRefused,
        word: "login_refused",
        blame: Blame::User,
        retry: Retry::Never,
        remedy: "over ssh, check user, identity_file and password; over adb, accept this host's key on the screen; \
            then try `ssh` or `adb` by hand",
    },
    KindFacts {
        kind: FailureKind::HostKeyChanged,
        word: "host_key_changed",
        blame: Blame::User,
        retry: Retry::Never,
        remedy: "make sure that it is the right machine, then remove the old key from the known-hosts file",
    },
    KindFacts {
        kind: FailureKind::HostKeyUnknown,
        word: "host_key_unknown",
        blame: Blame::User,
        retry: Retry::Never,
        remedy: "run once with --accept-new, or pin the key as host_key in the farm file",
    },
    KindFacts {
        kind: FailureKind::ConnectionLost,
        word: "connection_lost",
        blame: Blame::Transport,
        retry: Retry::Infrastructure,
        remedy: "check cable, power and network of the device",
    },
    KindFacts {
        kind: FailureKind::TransportProtocol,
        word: "transport_protocol",
        blame: Blame::Transport,
        retry: Retry::Infrastructure,
        remedy: "run with -v and look at the log of the sweep",
    },
];
