//! What sentences of adb's server and of a phone's daemon mean: the one place where words decide.
//!
//! Main functions: [`server_says`] and [`daemon_says`]. `FAIL` of both protocols carries a sentence and no code, and so
//! does the answer to `host:connect`. The sentences are constants of AOSP's `packages/modules/adb` (transport.cpp,
//! adb.cpp, client/transport_local.cpp, daemon/file_sync_service.cpp), in English on every host and phone. Whatever is
//! not in a table means nothing.

use crate::transport::ErrorKind;

/// What to do about a device that waits for a person.
pub(super) const TO_AUTHORIZE: &str = "unlock the screen and accept this host's key there (tick «Always allow»); if \
    nothing is shown, revoke the USB debugging authorisations in the developer options and plug it in again";
/// What to do about a USB device that this user may not open.
pub(super) const TO_PERMIT: &str = "this user may not open the USB device: install udev rules for it (Debian and \
    Ubuntu: android-sdk-platform-tools-common), join the group plugdev, log in again, and `adb kill-server`";

/// What a server says of a device or of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServerWord {
    /// It waits for a person to accept this host's key on the screen.
    Unauthorized,
    /// Several devices have that name.
    Ambiguous,
    /// The daemon has no such service, or went away.
    Closed,
    /// The way to the device is gone.
    Gone,
    /// The device is not on its list any more, or has another number there: the server is well.
    Unlisted,
    /// This user may not open the USB device.
    NoPermission,
    /// Nothing listens at an address.
    Refused,
    /// Nothing that is known.
    Unknown,
}

impl ServerWord {
    /// What a person can do about it.
    pub(super) fn remedy(self) -> Option<&'static str> {
        match self {
            ServerWord::Unauthorized => Some(TO_AUTHORIZE),
            ServerWord::NoPermission => Some(TO_PERMIT),
            ServerWord::Ambiguous => {
                Some("name one of them by where it is plugged in, `serial: usb:1-5`; `adb devices -l` shows it")
            }
            ServerWord::Closed
            | ServerWord::Gone
            | ServerWord::Unlisted
            | ServerWord::Refused
            | ServerWord::Unknown => None,
        }
    }
}

/// The first line whose words are in a sentence counts.
const SERVER: [(&str, ServerWord); 16] = [
    ("unauthorized", ServerWord::Unauthorized),
    ("still authorizing", ServerWord::Unauthorized),
    ("more than one device", ServerWord::Ambiguous),
    ("more than one emulator", ServerWord::Ambiguous),
    ("no permissions", ServerWord::NoPermission),
    ("insufficient permissions", ServerWord::NoPermission),
    ("offline", ServerWord::Gone),
    ("not found", ServerWord::Gone),
    ("no devices", ServerWord::Gone),
    ("no such device", ServerWord::Gone),
    ("no device with transport id", ServerWord::Unlisted),
    ("disconnected", ServerWord::Gone),
    ("still connecting", ServerWord::Gone),
    ("device still", ServerWord::Gone),
    ("closed", ServerWord::Closed),
    ("Connection refused", ServerWord::Refused),
];

/// What the system's errors are called on Android (bionic's `strerror`), at the end of what the sync service says.
const DAEMON: [(&str, ErrorKind); 2] =
    [("No space left on device", ErrorKind::DiskFull), ("Quota exceeded", ErrorKind::DiskFull)];

/// What a sentence of the server means.
pub(super) fn server_says(sentence: &str) -> ServerWord {
    SERVER.iter().find(|(words, _)| sentence.contains(words)).map_or(ServerWord::Unknown, |(_, word)| *word)
}

/// What a sentence of a phone's sync service means.
pub(super) fn daemon_says(sentence: &str) -> ErrorKind {
    let sentence = sentence.trim_end();
    DAEMON.iter().find(|(words, _)| sentence.ends_with(words)).map_or(ErrorKind::File, |(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_of_the_server_are_known() {
        for (sentence, word) in [
            ("device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set", ServerWord::Unauthorized),
            ("device still authorizing", ServerWord::Unauthorized),
            ("more than one device/emulator", ServerWord::Ambiguous),
            ("more than one device", ServerWord::Ambiguous),
            ("device offline", ServerWord::Gone),
            ("device 'R58M123' not found", ServerWord::Gone),
            ("no devices/emulators found", ServerWord::Gone),
            ("device still connecting", ServerWord::Gone),
            ("no device with transport id '9'", ServerWord::Unlisted),
            ("closed", ServerWord::Closed),
            ("insufficient permissions for device: user in plugdev group", ServerWord::NoPermission),
            ("failed to connect to '10.0.0.7:5555': Connection refused", ServerWord::Refused),
            ("unknown host service", ServerWord::Unknown),
        ] {
            assert_eq!(server_says(sentence), word, "{sentence}");
        }
    }

    #[test]
    fn only_the_end_of_what_the_daemon_says_counts() {
        assert_eq!(daemon_says("write failed: No space left on device"), ErrorKind::DiskFull);
        assert_eq!(daemon_says("couldn't create file: Read-only file system"), ErrorKind::File);
        assert_eq!(
            daemon_says("secure_mkdirs() on /x/No space left on device failed: Permission denied"),
            ErrorKind::File
        );
    }
}
