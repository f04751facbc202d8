//! Work of the catalogue that takes time: done where it may block, and shown from its first step on.

use crate::catalog::{Activity, Progress as Step};
use crate::lab::LabError;
use crate::progress::{Progress, Unit};

/// Does work on something that is called `name`; gives what came of it.
pub(super) async fn shown<T, E>(
    progress: &Progress,
    name: String,
    work: impl FnOnce(&mut dyn FnMut(Step)) -> Result<T, E> + Send + 'static,
) -> Result<Result<T, E>, LabError>
where
    T: Send + 'static,
    E: Send + 'static,
{
    let (progress, what) = (progress.clone(), name.clone());
    let work = move || {
        let mut task = None;
        let done = work(&mut |step: Step| {
            let task = task.get_or_insert_with(|| {
                let total = Some(step.total_bytes).filter(|total| *total > 0);
                progress.start_task(&format!("{} {what}", doing(step.activity)), total, Unit::Bytes)
            });
            task.advance_to(step.done_bytes);
        });
        if let Some(task) = task {
            task.finish(if done.is_ok() { "done" } else { "failed" });
        }
        done
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| LabError::internal(format!("failed to get {name}: {error}")))
}

fn doing(activity: Activity) -> &'static str {
    match activity {
        Activity::Building => "building",
        Activity::Downloading => "downloading",
        Activity::Hashing => "reading",
    }
}
