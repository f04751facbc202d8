//! Failures of the connection to a device.

use super::kind::{FailureKind, KindFacts};
use super::{Blame, Refusal, Retry};

pub(super) const CONNECTION: &[KindFacts] = &[
    KindFacts {
        kind: FailureKind::Unreachable,
        word: "unreachable",
        blame: Blame::Transport,
        retry: Retry::Infrastructure,
        refusal: Refusal::Lasting,
        remedy: "check power, cable and address of the device",
    },
    KindFacts {
        kind: FailureKind::Refused,
        word: "refused",
        blame: Blame::Transport,
        retry: Retry::Infrastructure,
        refusal: Refusal::Passing,
        remedy: "start the ssh or adb server, or correct the port in the farm file",
    },
    KindFacts {
        kind: FailureKind::NameUnknown,
        word: "name_unknown",
        blame: Blame::User,
        retry: Retry::Never,
        refusal: Refusal::Lasting,
        remedy: "correct the host in the farm file, or add it to ~/.ssh/config; over adb, name one phone by its serial",
    },
    KindFacts {
        kind: FailureKind::NameUnavailable,
        word: "name_unavailable",
        blame: Blame::Transport,
        retry: Retry::Infrastructure,
        refusal: Refusal::Passing,
        remedy: "look at this host's network and its name server; an address in the farm file needs neither",
    },
    KindFacts {
        kind: FailureKind::LoginRefused,
        word: "login_refused",
        blame: Blame::User,
        retry: Retry::Never,
        refusal: Refusal::Lasting,
        remedy: "over ssh, check user, identity_file and password; over adb, accept this host's key on the screen; \
                 then try `ssh` or `adb` by hand",
    },
    KindFacts {
        kind: FailureKind::LoginRunsNothing,
        word: "login_runs_nothing",
        blame: Blame::User,
        retry: Retry::Never,
        refusal: Refusal::Lasting,
        remedy: "give the user a login shell that runs commands (its line in /etc/passwd, ForceCommand in sshd_config, \
                 a password that has expired), or name another user in the farm file",
    },
    KindFacts {
        kind: FailureKind::LoginMissing,
        word: "login_missing",
        blame: Blame::User,
        retry: Retry::Never,
        refusal: Refusal::OwnLack,
        remedy: "name a key by identity_file, or give the ssh agent one (ssh-add); a daemon has an agent only where \
                 `farmctl daemon install` was given it",
    },
    KindFacts {
        kind: FailureKind::LoginClosed,
        word: "login_closed",
        blame: Blame::Transport,
        retry: Retry::Infrastructure,
        refusal: Refusal::Passing,
        remedy: "wait until the device has booted; if it lasts, look for /etc/nologin on it, and at the login's limits",
    },
    KindFacts {
        kind: FailureKind::Unauthorized,
        word: "unauthorized",
        blame: Blame::User,
        retry: Retry::Infrastructure,
        refusal: Refusal::Passing,
        remedy: "unlock the phone and accept this host's key on its screen (tick «Always allow»); where this user may \
                 not open the USB device, install udev rules for it",
    },
    KindFacts {
        kind: FailureKind::HostKeyChanged,
        word: "host_key_changed",
        blame: Blame::User,
        retry: Retry::Never,
        refusal: Refusal::Passing,
        remedy: "make sure that it is the right machine, then remove the old key from the known-hosts file",
    },
    KindFacts {
        kind: FailureKind::HostKeyUnknown,
        word: "host_key_unknown",
        blame: Blame::User,
        retry: Retry::Never,
        refusal: Refusal::Lasting,
        remedy: "run once with --accept-new, or pin the key as host_key in the farm file",
    },
    KindFacts {
        kind: FailureKind::ConnectionLost,
        word: "connection_lost",
        blame: Blame::Transport,
        retry: Retry::Infrastructure,
        refusal: Refusal::Passing,
        remedy: "check cable, power and network of the device",
    },
    KindFacts {
        kind: FailureKind::TransportProtocol,
        word: "transport_protocol",
        blame: Blame::Transport,
        retry: Retry::Infrastructure,
        refusal: Refusal::Lasting,
        remedy: "run with -v and look at the log of the sweep",
    },
];
