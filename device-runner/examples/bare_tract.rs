//! The smallest loop around tract, to compare the runner's timed loop with: `bare_tract MODEL.onnx WARMUP RUNS` prints
//! the median and the shortest latency in nanoseconds.

use std::error::Error;
use std::time::Instant;

use tract_onnx::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: bare_tract MODEL.onnx WARMUP RUNS")?;
    let warm_up: usize = arguments.next().ok_or("WARMUP is missing")?.parse()?;
    let runs: usize = arguments.next().ok_or("RUNS is missing")?.parse()?;
    let model = onnx().model_for_path(path)?.into_optimized()?;
    let shape = model.input_fact(0)?.shape.as_concrete().ok_or("the input's shape is not fixed")?.to_vec();
    let count = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|index| (index % 255) as f32 / 255.0).collect();
    let input: TValue = Tensor::from_shape(&shape, &values)?.into();
    let plan = model.into_runnable()?;
    let mut state = plan.spawn()?;
    let mut samples = Vec::with_capacity(runs);
    for run in 0..warm_up + runs {
        let begun = Instant::now();
        state.run(tvec!(input.clone()))?;
        let latency = begun.elapsed();
        if run >= warm_up {
            samples.push(latency.as_nanos());
        }
    }
    samples.sort_unstable();
    let fastest = samples.first().ok_or("RUNS is 0")?;
    println!("{} {fastest}", samples[runs / 2]);
    Ok(())
}
