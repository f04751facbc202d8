use super::*;

#[test]
fn dimensions_are_put_in_another_order() {
    let values: Vec<f32> = (0..12u8).map(f32::from).collect();
    // Two outputs of three inputs of a 1×2 kernel: inputs come last.
    let ohwi = reordered(&values, [2, 3, 1, 2], [0, 2, 3, 1]);
    assert_eq!(ohwi, [0.0, 2.0, 4.0, 1.0, 3.0, 5.0, 6.0, 8.0, 10.0, 7.0, 9.0, 11.0]);
    // Three channels of a depthwise 2×2 kernel: channels come last.
    let hwc = reordered(&values, [3, 1, 2, 2], [1, 2, 3, 0]);
    assert_eq!(hwc, [0.0, 4.0, 8.0, 1.0, 5.0, 9.0, 2.0, 6.0, 10.0, 3.0, 7.0, 11.0]);
}
