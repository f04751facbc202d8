use proptest::prelude::*;

use super::*;

/// Written by PyTorch 1.13: `a.weight`, the transpose of [[0, 1, 2], [3, 4, 5]]; `a.count`, a 64-bit 7; `a.bias`.
const SMALL: &[u8] = include_bytes!("small.pth");

#[test]
fn tensors_are_read_in_the_order_of_their_shape() {
    let checkpoint = Checkpoint::read(SMALL).unwrap();
    assert_eq!(checkpoint.values("a.weight", &[3, 2]).unwrap(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    assert_eq!(checkpoint.values("a.bias", &[2]).unwrap(), [0.5, -1.0]);
}

#[test]
fn what_a_network_does_not_find_is_named() {
    let checkpoint = Checkpoint::read(SMALL).unwrap();
    for (name, shape) in [("a.weight", vec![2, 3]), ("a.count", vec![]), ("b", vec![2])] {
        let message = checkpoint.values(name, &shape).unwrap_err().to_string();
        assert_eq!(message, format!("it has no tensor {name} of shape {shape:?}"));
    }
}

#[test]
fn other_files_are_told_from_checkpoints() {
    for bytes in [&b""[..], b"PK\x03\x04 a newer checkpoint", b"\x80\x02}."] {
        assert!(matches!(Checkpoint::read(bytes), Err(CheckpointError::Other)));
    }
}

#[test]
fn nothing_is_called() {
    // print("hello"), where the tensors should be.
    let call = b"\x80\x02K\x00.\x80\x02K\x00.\x80\x02c__builtin__\nprint\nX\x05\x00\x00\x00hello\x85R.";
    let message = Checkpoint::read(&[MAGIC, call].concat()).unwrap_err().to_string();
    assert_eq!(message, "it has a call of __builtin__ print at byte 57, which is not read here");
}

#[test]
fn rows_nested_without_end_are_harmless() {
    let nested = [&b"\x80\x02)"[..], &vec![b'\x85'; 100_000], b"."].concat();
    assert!(Checkpoint::read(&[MAGIC, &nested, &nested, &nested].concat()).is_err());
}

#[test]
fn a_file_that_ends_early_is_refused() {
    for length in 0..SMALL.len() {
        assert!(Checkpoint::read(&SMALL[..length]).is_err(), "{length}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn damaged_files_end_in_an_error_or_an_answer(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = SMALL.to_vec();
        for (index, byte) in changes {
            let at = index.index(bytes.len() - MAGIC.len()) + MAGIC.len();
            bytes[at] = byte;
        }
        let _ = Checkpoint::read(&bytes);
    }
}
