#![allow(clippy::unwrap_used)]
use farmctl_protocol::{InputSpec, Quantization};

use super::*;

/// A job without a word on its inputs.
pub(super) fn job() -> JobSpec {
    serde_json::from_str(
        r#"{"model":{"sha256":"","size_bytes":0},"format":"onnx","backend":"tract","precision":"fp32",
        "threads":1,"cpus":null,"batch":2,"scenario":"single_stream","seed":1,"input_range":{"low":0,"high":1},
        "limits":{"warmup_min_runs":0,"warmup_min_seconds":0,"warmup_max_seconds":0,"min_runs":1,"max_runs":1,
        "min_seconds":0,"max_seconds":1}}"#,
    )
    .unwrap()
}

fn range(low: f32, high: f32) -> InputRange {
    InputRange { low, high }
}

fn one(element: &str, shape: &[u64], range: InputRange) -> Fed {
    let job = JobSpec { input_range: range, ..job() };
    fed(&job, &[TensorInfo::new("x", element, shape.to_vec())]).unwrap().remove(0)
}

fn bytes(seeded: &mut SeededInput, input: &Fed, layout: Layout) -> Vec<u8> {
    let mut bytes = Vec::new();
    seeded.write(input, layout, &mut bytes).unwrap();
    bytes
}

fn values(seeded: &mut SeededInput, shape: &[u64], range: InputRange, layout: Layout) -> Vec<f32> {
    let bytes = bytes(seeded, &one("f32", shape, range), layout);
    bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect()
}

#[test]
fn random_bits_are_those_of_the_reference_implementation() {
    let sequence = SeededInput::new(1_234_567);
    let bits: Vec<u64> = (0..3).map(|index| sequence.bits(index)).collect();
    assert_eq!(bits, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
}

#[test]
fn values_are_pinned_and_go_on_with_the_next_input() {
    let mut seeded = SeededInput::new(42);
    let mut next = |shape: &[u64]| values(&mut seeded, shape, range(-2.0, 2.5), Layout::Nchw);
    let values = [next(&[1, 3]), next(&[])].concat();
    let bits: Vec<u32> = values.iter().map(|value| value.to_bits()).collect();
    assert_eq!(bits, GOLDEN, "{values:?}");
}

const GOLDEN: [u32; 4] = [0x3fab_2430, 0xbfa3_e441, 0xbf3f_0d30, 0xbee6_fc17];

#[test]
fn an_image_is_the_same_in_either_order() {
    let seeded = || SeededInput::new(3);
    let (images, height, width, channels) = (2, 4, 5, 3);
    let unit = range(0.0, 1.0);
    let first = values(&mut seeded(), &[images, channels, height, width], unit, Layout::Nchw);
    let last = values(&mut seeded(), &[images, height, width, channels], unit, Layout::Nhwc);
    let mut index = 0;
    for (image, row, column) in
        (0..images).flat_map(|image| (0..height * width).map(move |at| (image, at / width, at % width)))
    {
        for channel in 0..channels {
            let expected = first[(((image * channels + channel) * height + row) * width + column) as usize];
            assert_eq!(last[index], expected);
            index += 1;
        }
    }
}

#[test]
fn whole_numbers_fill_their_range_and_stay_inside() {
    let draw = |element: &str, range| bytes(&mut SeededInput::new(9), &one(element, &[4000], range), Layout::Nchw);
    let longs = draw("i64", range(-3.0, 30522.0));
    let longs: Vec<i64> = longs.as_chunks().0.iter().map(|value| i64::from_le_bytes(*value)).collect();
    assert!(longs.iter().all(|value| (-3..30522).contains(value)), "{longs:?}");
    assert!(longs.iter().any(|value| *value < 100) && longs.iter().any(|value| *value > 30400));
    assert!(longs.windows(2).any(|pair| pair[0] != pair[1]));
    let mut found = draw("u8", range(-7.5, 2.5));
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, [0, 1, 2], "below 0 there is no such number");
    assert!(draw("bool", range(0.0, 2.0)).iter().all(|value| *value < 2));
    assert!(draw("bool", range(1.0, 9.0)).iter().all(|value| *value == 1));
    let ints = draw("u64", range(0.0, f32::MAX));
    assert!(ints.as_chunks().0.iter().any(|value| u64::from_le_bytes(*value) > u64::MAX / 2));
}

#[test]
fn real_numbers_of_another_width_are_the_same_numbers() {
    let wanted = values(&mut SeededInput::new(5), &[50], range(-2.0, 2.0), Layout::Nchw);
    let draw = |element: &str| bytes(&mut SeededInput::new(5), &one(element, &[50], range(-2.0, 2.0)), Layout::Nchw);
    let doubles = draw("f64");
    let doubles: Vec<f64> = doubles.as_chunks().0.iter().map(|value| f64::from_le_bytes(*value)).collect();
    assert!(doubles.iter().zip(&wanted).all(|(double, value)| *double == f64::from(*value)));
    let halves = draw("f16");
    let halves = halves.as_chunks().0.iter().map(|value| half::f16::from_le_bytes(*value));
    assert!(halves.zip(&wanted).all(|(half, value)| half == half::f16::from_f32(*value)));
}

#[test]
fn a_quantised_input_is_the_real_one_in_steps() {
    let mut input = one("i8", &[100], range(-200.0, 200.0));
    assert!(matches!(input.draw, Draw::Whole { .. }));
    let info = TensorInfo { quantization: Some(Quantization { scale: 0.5, zero_point: 3 }), ..input.info.clone() };
    input = fed(&JobSpec { input_range: range(-80.0, 80.0), ..job() }, &[info]).unwrap().remove(0);
    let wanted = values(&mut SeededInput::new(5), &[100], range(-80.0, 80.0), Layout::Nchw);
    let steps = bytes(&mut SeededInput::new(5), &input, Layout::Nchw);
    for (step, value) in steps.iter().zip(wanted) {
        let expected = ((value / 0.5).round_ties_even() + 3.0).clamp(-128.0, 127.0) as i8;
        assert_eq!(*step as i8, expected);
    }
}

#[test]
fn inputs_that_nobody_can_feed_are_refused() {
    let input = |element: &str, shape: &[u64]| TensorInfo::new("x", element, shape.to_vec());
    assert_eq!(fed(&job(), &[input("f32", &[1, 3, 2]), input("f64", &[])]).unwrap()[1].count, 1);
    let cases = [
        (vec![input("f32", &[u64::MAX, 2])], "larger than"),
        (vec![input("f32", &[1 << 27]), input("i32", &[1 << 27]), input("u8", &[1])], "larger than"),
        (vec![input("string", &[1])], "is made of \"string\""),
    ];
    for (inputs, part) in cases {
        let error = fed(&job(), &inputs).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    let between = JobSpec { input_range: range(0.2, 0.8), ..job() };
    assert!(fed(&between, &[input("i32", &[1])]).unwrap_err().contains("of which none is in [0.2, 0.8)"));
}

#[test]
fn an_engine_that_sets_other_inputs_is_found_out() {
    let spec = |name: &str, element, shape: &[u64], high| InputSpec {
        name: name.to_owned(),
        element,
        shape: shape.to_vec(),
        range: range(0.0, high),
        values: None,
    };
    let ordered = [spec("a", ElementType::Float32, &[2, 3], 1.0), spec("ids", ElementType::Int64, &[1, 4], 100.0)];
    let job = JobSpec { inputs: ordered.to_vec(), ..job() };
    let good = [TensorInfo::new("a", "f32", vec![2, 3]), TensorInfo::new("ids", "i64", vec![1, 4])];
    assert_eq!(fed(&job, &good).unwrap()[1].draw, Draw::Whole { low: 0, count: 100 });
    let mut others = [good.clone(), good.clone(), good.clone()];
    others[0][0].shape = vec![1, 3];
    others[1][1].element = "i32".to_owned();
    others[2].reverse();
    for other in others {
        let error = fed(&job, &other).unwrap_err();
        assert!(error.contains("instead of \"a\" f32 [2, 3]; \"ids\" i64 [1, 4]"), "{error}");
    }
    assert!(fed(&job, &good[..1]).is_err());
}

#[test]
fn values_that_a_job_gives_go_in_as_they_are() {
    let store = std::env::temp_dir().join(format!("farmctl-values-{}", std::process::id()));
    std::fs::create_dir_all(&store).unwrap();
    std::fs::write(store.join("given"), [1, 2, 3, 4, 5, 6]).unwrap();
    let artifact = |sha256: &str, size_bytes| farmctl_protocol::ArtifactRef { sha256: sha256.to_owned(), size_bytes };
    let spec = |name: &str, values| InputSpec {
        name: name.to_owned(),
        element: ElementType::Int16,
        shape: vec![3],
        range: range(0.0, 9.0),
        values,
    };
    let sent = |inputs: [InputSpec; 2]| {
        let job = JobSpec { inputs: inputs.to_vec(), ..job() };
        let infos = ["a", "b"].map(|name| TensorInfo::new(name, "i16", vec![3]));
        let mut bytes = Vec::new();
        Feed::open(&job, fed(&job, &infos)?, &store)?.write(&mut bytes).map_err(|error| error.to_string())?;
        Ok::<_, String>(bytes)
    };
    let seeded = sent([spec("a", None), spec("b", None)]).unwrap();
    let given = sent([spec("a", Some(artifact("given", 6))), spec("b", None)]).unwrap();
    // What is drawn for the other input stays the same.
    assert_eq!((&given[..6], &given[6..]), (&[1, 2, 3, 4, 5, 6][..], &seeded[6..]));
    let short = sent([spec("a", Some(artifact("given", 5))), spec("b", None)]).unwrap_err();
    assert!(short.contains("the values of input \"a\" have 5 bytes"), "{short}");
    assert!(sent([spec("a", Some(artifact("absent", 6))), spec("b", None)]).unwrap_err().contains("absent"));
    std::fs::remove_dir_all(&store).unwrap();
}

#[test]
fn values_stay_inside_a_narrow_range() {
    let narrow = range(1.0, 1.0f32.next_up());
    let values = values(&mut SeededInput::new(7), &[1000], narrow, Layout::Nchw);
    assert!(values.iter().all(|value| *value == 1.0));
}

#[test]
fn values_fill_the_range() {
    let values = values(&mut SeededInput::new(1), &[10_000], range(-1.0, 1.0), Layout::Nchw);
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / 10_000.0;
    assert!(values.iter().all(|value| (-1.0..1.0).contains(value)));
    assert!(values.iter().any(|value| *value < -0.99) && values.iter().any(|value| *value > 0.99));
    assert!(mean.abs() < 0.03, "mean {mean}");
}
