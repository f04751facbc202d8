use super::rules::{Call, Gap};
use super::shapes::{fault, size};

/// Step, padding and dilation of a window along one axis.
struct Window {
    kernel: u64,
    stride: u64,
    dilation: u64,
    pads: [u64; 2],
}

impl Window {
    /// Size with the gaps of dilation.
    fn span(&self) -> Option<u64> {
        self.kernel.checked_sub(1)?.checked_mul(self.dilation)?.checked_add(1)
    }
}

fn window(call: &Call<'_>, index: usize, axes: usize, kernel: u64) -> Result<Window, Gap> {
    let one = |name: &str, at: usize, of: usize, default: u64| match call.ints(name) {
        None => Ok(default),
        Some(values) if values.len() == of => size(values[at], name),
        Some(values) => fault(format!("its {name} {values:?} are not {of} numbers")),
    };
    let window = Window {
        kernel,
        stride: one("strides", index, axes, 1)?,
        dilation: one("dilations", index, axes, 1)?,
        pads: [one("pads", index, 2 * axes, 0)?, one("pads", index + axes, 2 * axes, 0)?],
    };
    if window.stride == 0 || window.dilation == 0 || window.kernel == 0 {
        return fault("its stride, dilation or kernel is 0".to_owned());
    }
    Ok(window)
}

/// How many windows there are along each axis.
pub(super) fn windows(call: &Call<'_>, sizes: &[u64], kernel: &[u64]) -> Result<Vec<u64>, Gap> {
    let mut counts = Vec::with_capacity(sizes.len());
    for (index, (&input, &kernel)) in sizes.iter().zip(kernel).enumerate() {
        let window = window(call, index, sizes.len(), kernel)?;
        let too_large = || Gap::Fault(format!("its window is larger than the padded input of {input}"));
        let span = window.span().ok_or_else(too_large)?;
        if matches!(call.word("auto_pad"), b"SAME_UPPER" | b"SAME_LOWER") {
            counts.push(input.div_ceil(window.stride));
            continue;
        }
        let padded = if call.word("auto_pad") == b"VALID" {
            Some(input)
        } else {
            window.pads.iter().try_fold(input, |sum, &pad| sum.checked_add(pad))
        };
        let steps = padded.and_then(|padded| padded.checked_sub(span)).ok_or_else(too_large)?;
        let mut count = steps / window.stride + 1;
        if call.int("ceil_mode", 0) != 0 && !steps.is_multiple_of(window.stride) {
            // A window that would lie in the end's padding alone doesn't count.
            let start = count.saturating_mul(window.stride);
            count += u64::from(start < input.saturating_add(window.pads[0]));
        }
        counts.push(count);
    }
    Ok(counts)
}

/// How far the windows of a transposed convolution reach along each axis.
pub(super) fn transposed_windows(call: &Call<'_>, sizes: &[u64], kernel: &[u64]) -> Result<Vec<u64>, Gap> {
    if let Some(shape) = call.ints("output_shape") {
        let shape = shape.get(shape.len().saturating_sub(sizes.len())..).unwrap_or_default();
        return shape.iter().map(|&value| size(value, "output shape")).collect();
    }
    let same = matches!(call.word("auto_pad"), b"SAME_UPPER" | b"SAME_LOWER");
    let extra = call.ints("output_padding").unwrap_or_default();
    let mut reaches = Vec::with_capacity(sizes.len());
    for (index, (&input, &kernel)) in sizes.iter().zip(kernel).enumerate() {
        let window = window(call, index, sizes.len(), kernel)?;
        let extra = size(extra.get(index).copied().unwrap_or(0), "output padding")?;
        let reach = if same {
            input.checked_mul(window.stride)
        } else {
            let moved = input.checked_sub(1).and_then(|steps| steps.checked_mul(window.stride));
            let whole = moved.and_then(|moved| moved.checked_add(window.span()?)?.checked_add(extra));
            window.pads.iter().try_fold(whole, |sum, &pad| Some(sum?.checked_sub(pad))).flatten()
        };
        reaches.push(reach.ok_or_else(|| Gap::Fault(format!("nothing is left of its input of {input}")))?);
    }
    Ok(reaches)
}

/// Pooling windows.
pub(super) fn pool(call: &Call<'_>) -> Result<Vec<u64>, Gap> {
    let input = call.shape(0)?;
    let kernel = call.ints("kernel_shape").unwrap_or_default();
    if input.len() < 3 || kernel.len() != input.len() - 2 {
        return fault(format!("its input {input:?} and kernel {kernel:?} don't fit"));
    }
    let kernel: Vec<u64> = kernel.iter().map(|&value| size(value, "kernel")).collect::<Result<_, _>>()?;
    let mut output = input[..2].to_vec();
    output.extend(windows(call, &input[2..], &kernel)?);
    Ok(output)
}
