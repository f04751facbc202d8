//! Work of the catalogue that takes time: done where it may block, and shown from its first step on.

use tokio::task::JoinError;

use crate::catalog::{Activity, CatalogError, EngineFileError, Progress as Step};
use crate::progress::{Progress, Unit};

/// Work on a file that broke off before it was done.
#[derive(Debug, thiserror::Error)]
#[error("get {name}: {cause}")]
pub(super) struct BrokeOff {
    name: String,
    #[source]
    cause: JoinError,
}

impl From<BrokeOff> for CatalogError {
    fn from(error: BrokeOff) -> CatalogError {
        CatalogError::BrokeOff { name: error.name, cause: Box::new(error.cause) }
    }
}

impl From<BrokeOff> for EngineFileError {
    fn from(error: BrokeOff) -> EngineFileError {
        CatalogError::from(error).into()
    }
}

/// Does work on something that is called `name`; gives what came of it.
pub(super) async fn shown<T, E>(
    progress: &Progress,
    name: String,
    work: impl FnOnce(&mut dyn FnMut(Step)) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<BrokeOff> + Send + 'static,
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
    done.unwrap_or_else(|cause| Err(BrokeOff { name, cause }.into()))
}

fn doing(activity: Activity) -> &'static str {
    match activity {
        Activity::Building => "building",
        Activity::Downloading => "downloading",
        Activity::Uploading => "uploading",
        Activity::Hashing => "reading",
    }
}
