use super::MAX_RANK;
use super::rules::{Call, Gap};
use super::value::{MAX_INTEGERS, Value, count};

/// A fault with that cause.
pub(super) fn fault<T>(cause: String) -> Result<T, Gap> {
    Err(Gap::Fault(cause))
}

/// An axis that may count from the end.
fn axis(value: i64, rank: usize) -> Result<usize, Gap> {
    let rank_signed = rank as i64;
    let index = if value < 0 { value.saturating_add(rank_signed) } else { value };
    if (0..rank_signed).contains(&index) {
        Ok(index as usize)
    } else {
        fault(format!("its axis {value} is none of the {rank} dimensions"))
    }
}

/// A size that must not be negative.
pub(super) fn size(value: i64, what: &str) -> Result<u64, Gap> {
    u64::try_from(value).or_else(|_| fault(format!("its {what} {value} is negative")))
}

/// The shape that two shapes are stretched to.
pub(super) fn broadcast(left: &[u64], right: &[u64]) -> Result<Vec<u64>, Gap> {
    let rank = left.len().max(right.len());
    let at = |shape: &[u64], index: usize| (index + shape.len()).checked_sub(rank).map_or(1, |index| shape[index]);
    (0..rank)
        .map(|index| match (at(left, index), at(right, index)) {
            (a, b) if a == b || b == 1 => Ok(a),
            (1, b) => Ok(b),
            _ => fault(format!("its inputs {left:?} and {right:?} don't fit")),
        })
        .collect()
}

/// The shape that all inputs are stretched to.
pub(super) fn broadcast_all(call: &Call<'_>) -> Result<Vec<u64>, Gap> {
    let mut shape = call.shape(0)?.to_vec();
    for index in 1..call.inputs.len() {
        shape = broadcast(&shape, call.shape(index)?)?;
    }
    Ok(shape)
}

/// One value a channel.
pub(super) fn global_pool(call: &Call<'_>) -> Result<Vec<u64>, Gap> {
    let input = call.shape(0)?;
    Ok(input.iter().enumerate().map(|(index, &size)| if index < 2 { size } else { 1 }).collect())
}

/// Sums and the like over some axes.
pub(super) fn reduce(call: &Call<'_>) -> Result<Vec<u64>, Gap> {
    let input = call.shape(0)?;
    let axes = call.list("axes", 1)?.unwrap_or_default();
    if axes.is_empty() && call.int("noop_with_empty_axes", 0) != 0 {
        return Ok(input.to_vec());
    }
    let mut reduced = vec![axes.is_empty(); input.len()];
    for &value in axes {
        reduced[axis(value, input.len())?] = true;
    }
    let keep = call.int("keepdims", 1) != 0;
    let sizes = input.iter().zip(reduced);
    Ok(sizes.filter_map(|(&size, reduced)| if reduced { keep.then_some(1) } else { Some(size) }).collect())
}

/// Inputs behind each other.
pub(super) fn concat(call: &Call<'_>) -> Result<Value, Gap> {
    let mut shape = call.shape(0)?.to_vec();
    let along = axis(call.int("axis", 1), shape.len())?;
    for index in 1..call.inputs.len() {
        let other = call.shape(index)?;
        let fits = other.len() == shape.len()
            && other.iter().zip(&shape).enumerate().all(|(index, (a, b))| index == along || a == b);
        if !fits {
            return fault(format!("its inputs {shape:?} and {other:?} don't fit along axis {along}"));
        }
        shape[along] = shape[along].checked_add(other[along]).ok_or(Gap::Shape)?;
    }
    count(&shape)?;
    let integers: Option<Vec<&[i64]>> = call.inputs.iter().map(|input| input.as_ref()?.integers.as_deref()).collect();
    Ok(match integers {
        // The sum first: a node may name one list a million times.
        Some(lists) if shape.len() == 1 && shape[0] <= MAX_INTEGERS as u64 => {
            Value::with_integers(Some(shape), lists.concat())
        }
        _ => Value::with_shape(Some(shape)),
    })
}

/// A matrix, split at an axis.
pub(super) fn flatten(call: &Call<'_>) -> Result<Vec<u64>, Gap> {
    let input = call.shape(0)?;
    let at = call.int("axis", 1);
    // The axis may also be the end of the shape.
    let at = if at == input.len() as i64 { input.len() } else { axis(at, input.len())? };
    Ok(vec![count(&input[..at])?, count(&input[at..])?])
}

/// The same values in another shape.
pub(super) fn reshape(call: &Call<'_>) -> Result<Vec<u64>, Gap> {
    let input = call.shape(0)?;
    let target = call.list("shape", 1)?.ok_or(Gap::Shape)?;
    if target.len() > MAX_RANK {
        return fault(format!("its shape has {} dimensions, more than {MAX_RANK}", target.len()));
    }
    let mismatch = || Gap::Fault(format!("{input:?} can't be reshaped to {target:?}"));
    let mut output = Vec::with_capacity(target.len());
    let mut open = None;
    for (index, &value) in target.iter().enumerate() {
        output.push(match value {
            -1 if open.is_none() => {
                open = Some(index);
                1
            }
            0 if call.int("allowzero", 0) == 0 => *input.get(index).ok_or_else(mismatch)?,
            value => u64::try_from(value).map_err(|_| mismatch())?,
        });
    }
    let (elements, placed) = (count(input)?, count(&output)?);
    if let Some(open) = open {
        if placed == 0 || !elements.is_multiple_of(placed) {
            return Err(mismatch());
        }
        output[open] = elements / placed;
    } else if placed != elements {
        return Err(mismatch());
    }
    Ok(output)
}

/// Axes in another order.
pub(super) fn transpose(call: &Call<'_>) -> Result<Vec<u64>, Gap> {
    let input = call.shape(0)?;
    let Some(order) = call.ints("perm") else { return Ok(input.iter().rev().copied().collect()) };
    let mut seen = vec![false; input.len()];
    for &value in order {
        seen[axis(value, input.len())?] = true;
    }
    if order.len() != input.len() || seen.contains(&false) {
        return fault(format!("its order {order:?} doesn't fit its input {input:?}"));
    }
    order.iter().map(|&value| Ok(input[axis(value, input.len())?])).collect()
}

/// Without axes of size 1.
pub(super) fn squeeze(call: &Call<'_>) -> Result<Value, Gap> {
    let input = call.shape(0)?;
    let mut drop: Vec<bool> = input.iter().map(|&size| size == 1).collect();
    if let Some(axes) = call.list("axes", 1)? {
        drop = vec![false; input.len()];
        for &value in axes {
            let index = axis(value, input.len())?;
            if input[index] != 1 {
                return fault(format!("its axis {value} of {input:?} isn't of size 1"));
            }
            drop[index] = true;
        }
    }
    let shape = input.iter().zip(drop).filter(|(_, drop)| !drop).map(|(&size, _)| size).collect();
    Ok(relabelled(call, shape))
}

/// With more axes of size 1.
pub(super) fn unsqueeze(call: &Call<'_>) -> Result<Value, Gap> {
    let input = call.shape(0)?;
    let axes = call.list("axes", 1)?.ok_or_else(|| Gap::Fault("its axes are missing".to_owned()))?;
    let rank = input.len() + axes.len();
    if rank > MAX_RANK {
        return fault(format!("its output would have {rank} dimensions, more than {MAX_RANK}"));
    }
    let mut new = vec![false; rank];
    for &value in axes {
        new[axis(value, rank)?] = true;
    }
    if new.iter().filter(|&&new| new).count() != axes.len() {
        return fault(format!("its axes {axes:?} name one twice"));
    }
    let mut old = input.iter().copied();
    let shape = new.iter().map(|&new| if new { 1 } else { old.next().unwrap_or(1) }).collect();
    Ok(relabelled(call, shape))
}

/// The first input's values in that shape.
fn relabelled(call: &Call<'_>, shape: Vec<u64>) -> Value {
    match call.integers(0) {
        Ok(Some(integers)) => Value::with_integers(Some(shape), integers.to_vec()),
        _ => Value::with_shape(Some(shape)),
    }
}

/// Parts along an axis.
pub(super) fn split(call: &Call<'_>) -> Result<Vec<Value>, Gap> {
    let input = call.shape(0)?;
    let along = axis(call.int("axis", 0), input.len())?;
    let parts = call.node.output.len() as u64;
    let sizes: Vec<u64> = match call.list("split", 1)? {
        Some(sizes) => sizes.iter().map(|&value| size(value, "split")).collect::<Result<_, _>>()?,
        None => {
            let part = input[along].div_ceil(parts.max(1));
            (0..parts).map(|index| part.min(input[along].saturating_sub(index.saturating_mul(part)))).collect()
        }
    };
    let sum = sizes.iter().try_fold(0u64, |sum, &size| sum.checked_add(size));
    if sum != Some(input[along]) || sizes.len() as u64 != parts {
        return fault(format!("its parts {sizes:?} don't make up the {} of axis {along}", input[along]));
    }
    let part = |size: u64| {
        let mut shape = input.to_vec();
        shape[along] = size;
        Value::with_shape(Some(shape))
    };
    Ok(sizes.into_iter().map(part).collect())
}

/// Entries of an axis by their index.
pub(super) fn gather(call: &Call<'_>) -> Result<Value, Gap> {
    let (input, indices) = (call.shape(0)?, call.shape(1)?);
    let along = axis(call.int("axis", 0), input.len())?;
    let shape = [&input[..along], indices, &input[along + 1..]].concat();
    if shape.len() > MAX_RANK {
        return fault(format!("its output would have {} dimensions, more than {MAX_RANK}", shape.len()));
    }
    count(&shape)?;
    if let (Ok(Some(values)), Ok(Some(indices)), 1) = (call.integers(0), call.integers(1), input.len()) {
        let picked: Result<Vec<i64>, Gap> =
            indices.iter().map(|&index| Ok(values.get(axis(index, values.len())?).copied().unwrap_or(0))).collect();
        return Ok(Value::with_integers(Some(shape), picked?));
    }
    Ok(Value::with_shape(Some(shape)))
}

/// A part of each axis.
pub(super) fn slice(call: &Call<'_>) -> Result<Value, Gap> {
    let mut shape = call.shape(0)?.to_vec();
    let missing = || Gap::Fault("its bounds are missing".to_owned());
    let starts = call.list("starts", 1)?.ok_or_else(missing)?;
    let ends = call.list("ends", 2)?.ok_or_else(missing)?;
    let (axes, steps) = (call.list("axes", 3)?, call.integers(4)?);
    let mut picked = call.integers(0).ok().flatten().map(<[i64]>::to_vec);
    for (index, (&start, &end)) in starts.iter().zip(ends).enumerate() {
        let along = axes.map_or(Some(index as i64), |axes| axes.get(index).copied());
        let along = axis(along.ok_or_else(missing)?, shape.len())?;
        let step = steps.map_or(Some(1), |steps| steps.get(index).copied()).ok_or_else(missing)?;
        if step < 1 {
            return Err(Gap::Shape); // backwards: rare, and not worth a mistake
        }
        let size = i64::try_from(shape[along]).map_err(|_| Gap::Shape)?;
        let bound = |at: i64| (if at < 0 { at.saturating_add(size) } else { at }).clamp(0, size) as u64;
        let (start, end) = (bound(start), bound(end));
        shape[along] = end.saturating_sub(start).div_ceil(step as u64);
        let part = |values: Vec<i64>| {
            values.into_iter().skip(start as usize).step_by(step as usize).take(shape[along] as usize).collect()
        };
        picked = picked.map(part);
    }
    Ok(match picked {
        Some(integers) if shape.len() == 1 => Value::with_integers(Some(shape), integers),
        _ => Value::with_shape(Some(shape)),
    })
}

/// The size that is asked for, or that a factor makes.
pub(super) fn resize(call: &Call<'_>) -> Result<Vec<u64>, Gap> {
    let input = call.shape(0)?;
    if call.ints("axes").is_some() || call.word("keep_aspect_ratio_policy") != b"" {
        return Err(Gap::Shape);
    }
    if let Some(sizes) = call.integers(3)?.filter(|sizes| !sizes.is_empty()) {
        if sizes.len() != input.len() {
            return fault(format!("its sizes {sizes:?} don't fit its input {input:?}"));
        }
        return sizes.iter().map(|&value| size(value, "size")).collect();
    }
    let scales_at = if call.node.op_type == "Upsample" || call.opset < 11 { 1 } else { 2 };
    let scales = call.floats("scales", scales_at)?.ok_or(Gap::Shape)?;
    if scales.len() != input.len() || scales.iter().any(|scale| !scale.is_finite() || *scale <= 0.0) {
        return fault(format!("its factors {scales:?} don't fit its input {input:?}"));
    }
    let scaled = |(&size, &scale): (&u64, &f32)| {
        let scaled = (size as f64 * f64::from(scale)).floor();
        // Beyond this a float has no whole numbers of its own.
        if scaled < 9e15 { Ok(scaled as u64) } else { fault(format!("its factors {scales:?} are too large")) }
    };
    input.iter().zip(scales).map(scaled).collect()
}

/// Stretched to a shape that stands in the file.
pub(super) fn expand(call: &Call<'_>) -> Result<Vec<u64>, Gap> {
    let target = written_shape(call, 1)?;
    broadcast(call.shape(0)?, &target)
}

/// A shape that stands in the file.
fn written_shape(call: &Call<'_>, input: usize) -> Result<Vec<u64>, Gap> {
    let shape = call.integers(input)?.ok_or(Gap::Shape)?;
    let shape: Vec<u64> = shape.iter().map(|&value| size(value, "size")).collect::<Result<_, _>>()?;
    if shape.len() > MAX_RANK {
        return fault(format!("its shape has {} dimensions, more than {MAX_RANK}", shape.len()));
    }
    Ok(shape)
}

/// Repeated along each axis.
pub(super) fn tile(call: &Call<'_>) -> Result<Vec<u64>, Gap> {
    let (input, repeats) = (call.shape(0)?, call.integers(1)?.ok_or(Gap::Shape)?);
    if repeats.len() != input.len() {
        return fault(format!("its repeats {repeats:?} don't fit its input {input:?}"));
    }
    let repeated = |(&size_of, &times): (&u64, &i64)| size_of.checked_mul(size(times, "repeat")?).ok_or(Gap::Shape);
    input.iter().zip(repeats).map(repeated).collect()
}

/// One value, as often as the shape says that it is given.
pub(super) fn filled(call: &Call<'_>) -> Result<Value, Gap> {
    let shape = written_shape(call, 0)?;
    count(&shape)?;
    Ok(Value::with_shape(Some(shape)))
}

/// The place of the largest or smallest along an axis.
pub(super) fn arg_reduce(call: &Call<'_>) -> Result<Vec<u64>, Gap> {
    let mut shape = call.shape(0)?.to_vec();
    let along = axis(call.int("axis", 0), shape.len())?;
    if call.int("keepdims", 1) != 0 {
        shape[along] = 1;
    } else {
        shape.remove(along);
    }
    Ok(shape)
}

/// Channels become pixels.
pub(super) fn depth_to_space(call: &Call<'_>) -> Result<Vec<u64>, Gap> {
    let Blocks { sizes: [batch, channels, height, width], side: block, pixels } = blocks(call)?;
    let larger = |side: u64| side.checked_mul(block).ok_or(Gap::Shape);
    Ok(vec![batch, channels / pixels, larger(height)?, larger(width)?])
}

/// Pixels become channels.
pub(super) fn space_to_depth(call: &Call<'_>) -> Result<Vec<u64>, Gap> {
    let Blocks { sizes: [batch, channels, height, width], side: block, pixels } = blocks(call)?;
    Ok(vec![batch, channels.checked_mul(pixels).ok_or(Gap::Shape)?, height / block, width / block])
}

/// Images that are cut into blocks.
struct Blocks {
    /// Of the images.
    sizes: [u64; 4],
    /// Of a block.
    side: u64,
    pixels: u64,
}

fn blocks(call: &Call<'_>) -> Result<Blocks, Gap> {
    let (input, block) = (call.shape(0)?, size(call.int("blocksize", 0), "block size")?);
    match (input, block.checked_mul(block).filter(|it| *it > 0)) {
        (&[batch, channels, height, width], Some(pixels)) => {
            Ok(Blocks { sizes: [batch, channels, height, width], side: block, pixels })
        }
        _ => fault(format!("its input {input:?} and block size {block} don't fit")),
    }
}

/// A shape as a value.
pub(super) fn shape_of(call: &Call<'_>) -> Result<Value, Gap> {
    let input = call.shape(0)?;
    let rank = input.len() as i64;
    let bound = |value: i64| (if value < 0 { value.saturating_add(rank) } else { value }).clamp(0, rank) as usize;
    let (start, end) = (bound(call.int("start", 0)), bound(call.int("end", rank)));
    let part: Result<Vec<i64>, _> =
        input.get(start..end).unwrap_or_default().iter().map(|&s| i64::try_from(s)).collect();
    let part = part.map_err(|_| Gap::Shape)?;
    Ok(Value::with_integers(Some(vec![part.len() as u64]), part))
}

/// A wider border, or a narrower one.
pub(super) fn pad(call: &Call<'_>) -> Result<Vec<u64>, Gap> {
    let input = call.shape(0)?;
    let pads = call.list("pads", 1)?.ok_or_else(|| Gap::Fault("its pads are missing".to_owned()))?;
    if call.opset >= 18 && call.inputs.get(3).copied().flatten().is_some() {
        return Err(Gap::Shape); // pads of chosen axes
    }
    if pads.len() != 2 * input.len() {
        return fault(format!("its pads {pads:?} don't fit its input {input:?}"));
    }
    let sizes = input.iter().enumerate();
    sizes
        .map(|(index, &size)| {
            let padded = size.checked_add_signed(pads[index]);
            let padded = padded.and_then(|size| size.checked_add_signed(pads[index + input.len()]));
            padded.ok_or_else(|| Gap::Fault(format!("its pads {pads:?} leave nothing of its input {input:?}")))
        })
        .collect()
}
