//! Tells people what they were not told of yet.

use jiff::{SignedDuration, Timestamp};

use crate::domain::{Channel, Notice};
use crate::publish::sweep_folder;
use crate::store::NotificationKind;
use crate::{notify, report};

use super::super::{CliError, Context, short_path};

/// What is older is nobody's news: no daemon ran, or there was nobody to tell.
const FRESH: SignedDuration = SignedDuration::from_hours(24);

/// Tells by these channels of each sweep that is over, of each device that came into quarantine, and of devices that were
/// found unfit before a sweep; blocks meanwhile.
pub(super) fn tell(context: &Context, channels: &[Channel]) -> Result<(), CliError> {
    let (store, now) = (context.lab.store()?, Timestamp::now());
    let mut failures = Vec::new();
    let mut tell = |notice: &Notice| {
        for channel in channels {
            let sent = notify::send(channel, notice, &|name| std::env::var(name).ok());
            match sent {
                Ok(()) => tracing::info!(subject = %notice.subject, "told"),
                Err(error) => failures.push(format!("failed to {error}")),
            }
        }
    };
    for sweep in store.pending_sweeps()? {
        if sweep.finished_at.is_none_or(|at| now.duration_since(at) < FRESH) && !channels.is_empty() {
            let folder = short_path(&sweep_folder(&context.lab.reports(), sweep.id.as_str()));
            tell(&report::sweep_notice(&sweep, &store.records(&sweep.id)?, &folder));
        }
        store.mark_sweep_notified(&sweep.id)?;
    }
    for news in NotificationKind::ALL {
        for (sequence, event) in store.pending(news)? {
            if now.duration_since(event.at) < FRESH {
                report::event_notice(&event).iter().for_each(&mut tell);
            }
            store.mark_notified(news, sequence)?;
        }
    }
    match failures.is_empty() {
        true => Ok(()),
        false => Err(CliError::internal(failures.join("; "))),
    }
}
