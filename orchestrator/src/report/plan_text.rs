use std::time::Duration;

use super::grid::{Grid, GridColumn};
use super::tensors::inputs_text;
use crate::domain::{Inventory, Job, Plan, Sweep};
use crate::planner;
use crate::wording::{duration_text, single_line};

/// Columns, and whether they hold numbers.
const COLUMNS: [(&str, bool); 12] = [
    ("device", false),
    ("model", false),
    ("weights", false),
    ("backend", false),
    ("precision", false),
    ("threads", true),
    ("batch", true),
    ("scenario", false),
    ("repeat", true),
    ("position", true),
    ("job", false),
    ("time", true),
];

/// The plan as a table: what runs, what doesn't and why, and how long it will take by the limits of its jobs: earlier
/// runs are not looked at, so that the same plan gives the same bytes. What may be measured again comes on top.
pub fn plan_text(plan: &Plan, inventory: &Inventory, sweep: &Sweep) -> String {
    let columns = COLUMNS.map(|(name, is_number)| GridColumn { name: name.to_owned(), is_number });
    let row = |job: &Job| {
        let mut cells = axes(job);
        cells.push(job.position.map_or_else(String::new, |position| position.to_string()));
        cells.extend([job.id.to_string(), time(planner::job_seconds(job, None))]);
        cells
    };
    let table = Grid { columns: columns.into(), rows: plan.jobs.iter().map(row).collect() };
    let mut text = format!("sweep {}: {}\n\n", single_line(&plan.sweep), totals(plan));
    if !plan.jobs.is_empty() {
        text.push_str(&table.text(None));
    }
    text.push_str(&measured(plan));
    text.push_str(&lengths(plan));
    text.push_str(&grouped("skipped", plan.skipped.iter().map(|cell| (cell.reason.as_str(), &cell.job))));
    let remarks = plan.jobs.iter().flat_map(|job| job.remarks.iter().map(move |remark| (remark.as_str(), job)));
    text.push_str(&grouped("remark", remarks));
    let machines = planner::remarks_on_machines_of(plan, inventory);
    machines.iter().for_each(|remark| text.push_str(&format!("\nremark: {}\n", single_line(remark))));
    text.push_str(&accuracy(plan));
    text.push_str(&short_of_time(plan));
    if !plan.jobs.is_empty() {
        let estimate = planner::estimate(plan, inventory, sweep.cooldown.as_ref());
        let longest = estimate.devices.iter().map(|device| device.seconds).fold(0.0, f64::max);
        let how = match estimate.seconds > longest {
            true => "devices one after the other where they share a machine or the places of a farm",
            false => "devices in parallel",
        };
        let mut about = time(estimate.seconds);
        if estimate.longest_seconds > estimate.seconds {
            about.push_str(&format!(" to {}, as long as devices cool down", time(estimate.longest_seconds)));
        }
        text.push_str(&format!("\nestimated time: {about}, {how}; by the limits of the jobs, not by earlier runs\n"));
        text.push_str(&reruns(plan, inventory, sweep));
    }
    text
}

fn axes(job: &Job) -> Vec<String> {
    vec![
        single_line(&job.device),
        single_line(&job.model.name),
        job.model.weights.to_string(),
        format!("{} {}", single_line(&job.backend), single_line(&job.backend_version)),
        job.precision.to_string(),
        job.threads.to_string(),
        job.batch.to_string(),
        job.scenario.to_string(),
        job.repeat.to_string(),
    ]
}

fn totals(plan: &Plan) -> String {
    let mut devices: Vec<_> = plan.jobs.iter().map(|job| &job.device).collect();
    devices.sort();
    devices.dedup();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let skipped = plural(plan.skipped.len(), "cell");
    format!("{} on {}, {skipped} skipped", plural(plan.jobs.len(), "job"), plural(devices.len(), "device"))
}

/// With which inputs each network is measured, and what an image of it costs: a line for each file and batch.
fn measured(plan: &Plan) -> String {
    let mut lines: Vec<String> = Vec::new();
    for job in plan.jobs.iter().filter(|job| !job.model.inputs.is_empty()) {
        let (model, inputs) = (&job.model, inputs_text(&job.model.inputs));
        let macs = model.macs.map_or("macs unknown".to_owned(), |macs| format!("{macs} macs an image"));
        let (name, format, batch) = (single_line(&model.name), single_line(&model.format), job.batch);
        let line = format!("  {name} ({}, {format}, batch {batch}): {}; {macs}\n", model.weights, single_line(&inputs));
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    if lines.is_empty() { String::new() } else { format!("\nmeasured with:\n{}", lines.concat()) }
}

/// How long is measured: a line for each scenario, and each length where they differ.
fn lengths(plan: &Plan) -> String {
    let mut lines: Vec<String> = Vec::new();
    for job in &plan.jobs {
        let limits = &job.limits;
        let steady =
            limits.steady_percent.map_or(String::new(), |percent| format!(", until steady within {percent} %"));
        let known = limits
            .interval_percent
            .map_or(String::new(), |percent| format!(", until the median is known to ± {percent} %"));
        let runs = |count: u32| format!("{count} run{}", if count == 1 { "" } else { "s" });
        let line = format!(
            "  {}: warm-up {} and {} s at least, {} s at most{steady}; loop {} and {} s at least, {} and {} s at \
             most{known}\n",
            job.scenario,
            runs(limits.warmup_min_runs),
            limits.warmup_min_seconds,
            limits.warmup_max_seconds,
            runs(limits.min_runs),
            limits.min_seconds,
            runs(limits.max_runs),
            limits.max_seconds,
        );
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    if lines.is_empty() { String::new() } else { format!("\nlength:\n{}", lines.concat()) }
}

/// What is said of some cells, those with the same reason together, in the order in which the reasons first occur.
fn grouped<'a>(title: &str, said: impl Iterator<Item = (&'a str, &'a Job)>) -> String {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for (reason, job) in said {
        let label = axes(job).join(" ");
        match reasons.iter_mut().find(|(other, _)| *other == reason) {
            Some((_, cells)) => cells.push(label),
            None => reasons.push((reason, vec![label])),
        }
    }
    let mut text = String::new();
    for (reason, cells) in reasons {
        text.push_str(&format!("\n{title}: {}\n", single_line(reason)));
        cells.iter().for_each(|cell| text.push_str(&format!("  {cell}\n")));
    }
    text
}

/// On what accuracy is measured, and by how many of the jobs.
fn accuracy(plan: &Plan) -> String {
    let datasets = plan.jobs.iter().filter_map(|job| job.dataset.as_ref());
    let (with, all) = (datasets.clone().count(), plan.jobs.len());
    let Some(dataset) = datasets.clone().next() else { return String::new() };
    let others =
        if with == all { "" } else { "; the others have synthetic weights, or a program that tells no answers" };
    let name = single_line(&dataset.name);
    format!("\naccuracy: {} images of the dataset {name}, in {with} of {all} jobs{others}\n", dataset.images)
}

/// What doubtful rows may cost on top: nothing, or as often as all of them are measured again.
fn reruns(plan: &Plan, inventory: &Inventory, sweep: &Sweep) -> String {
    let trust = &sweep.trust;
    if trust.max_reruns == 0 {
        return String::new();
    }
    let mut again = plan.clone();
    again.jobs = plan.jobs.iter().flat_map(|job| vec![job.clone(); trust.max_reruns as usize]).collect();
    let most = time(planner::estimate(&again, inventory, sweep.cooldown.as_ref()).longest_seconds);
    let (times, pause) = (trust.max_reruns, time(trust.rerun_pause_seconds));
    let how_often = if times == 1 { "once".to_owned() } else { format!("up to {times} times") };
    format!(
        "doubtful rows are measured again {how_often}, at the end of their device's work and {pause} later at the \
         earliest: up to {most}\nmore if all are\n"
    )
}

fn time(seconds: f64) -> String {
    duration_text(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// The jobs that may not be through when their time is up.
fn short_of_time(plan: &Plan) -> String {
    let short = |job: &&Job| planner::wanted_seconds(job) > job.run_seconds;
    let mut text = String::new();
    for job in plan.jobs.iter().filter(short) {
        let (wanted, limit) = (time(planner::wanted_seconds(job)), time(job.run_seconds));
        text.push_str(&format!("  {} ({wanted}, ended after {limit})\n", axes(job).join(" ")));
    }
    if !text.is_empty() {
        text.insert_str(
            0,
            "\nmay be ended before they are through, by what is estimated: raise `run_seconds` of the sweep's file, \
             or\n`max_run_seconds` of the device\n",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Limits, sample};

    #[test]
    fn the_length_of_each_loop_is_told_once() {
        let job = sample::job("board-1", "tiny");
        let limits = Limits { steady_percent: Some(3.0), interval_percent: Some(1.5), ..job.limits };
        let longer = Job { limits, ..job.clone() };
        let plan = Plan { sweep: "all".to_owned(), jobs: vec![job.clone(), longer, job], skipped: Vec::new() };
        let expected = "\nlength:
  single_stream: warm-up 1 run and 0.1 s at least, 1 s at most; loop 4 runs and 0.5 s at least, 100 runs and 5 s at most
  single_stream: warm-up 1 run and 0.1 s at least, 1 s at most, until steady within 3 %; loop 4 runs and 0.5 s at \
             least, 100 runs and 5 s at most, until the median is known to ± 1.5 %
";
        assert_eq!(lengths(&plan), expected);
        assert_eq!(lengths(&Plan { jobs: Vec::new(), ..plan }), "");
    }
}
