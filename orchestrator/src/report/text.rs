use jiff::Timestamp;

/// A moment for programs (RFC 3339), to milliseconds.
pub(super) fn time_text(time: Timestamp) -> String {
    format!("{time:.3}")
}
