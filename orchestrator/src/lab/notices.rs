//! Tells people what they were not told of yet.

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use crate::domain::{Channel, Notice};
use crate::notify::Means;
use crate::publish::sweep_folder;
use crate::report::SweepNotice;
use crate::store::NotificationKind;
use crate::wording::in_zone;
use crate::{notify, report};

use super::{Lab, LabError};

/// What is older is nobody's news: no daemon ran, or there was nobody to tell.
const FRESH: SignedDuration = SignedDuration::from_hours(24);

impl Lab {
    /// Why these channels would tell nobody, as far as that is known before there is anything to tell.
    pub fn channel_faults(&self, channels: &[Channel]) -> Option<String> {
        let faults = notify::faults(channels, &|name| self.variable(name));
        let faults: Vec<String> = faults.iter().map(|fault| format!("failed to {fault}")).collect();
        Some(faults.join("; ")).filter(|faults| !faults.is_empty())
    }

    /// Tells by these channels of each sweep that is over, of each device that came into quarantine, and of devices
    /// that were found unfit before a sweep; blocks meanwhile.
    ///
    /// # Errors
    /// When somebody could not be told.
    pub fn notify(&self, channels: &[Channel]) -> Result<(), LabError> {
        let (store, now) = (self.store()?, self.now());
        let mut failures = Vec::new();
        let means = Means { environment: &|name| self.variable(name), trust: &self.environment.trust };
        let zone = self.time_zone();
        let mut tell = |notice: &Notice| {
            let notice = &by_the_labs_clocks(notice, &zone);
            for channel in channels {
                let sent = notify::send(channel, notice, means);
                match sent {
                    Ok(()) => tracing::info!(subject = %notice.subject, "told"),
                    Err(error) => failures.push(format!("failed to {error}")),
                }
            }
        };
        for sweep in store.pending_sweeps()? {
            if sweep.finished_at.is_none_or(|at| now.duration_since(at) < FRESH) && !channels.is_empty() {
                let folder = self.short_path(&sweep_folder(&self.reports(), sweep.id.as_str()));
                let mut counted = SweepNotice::default();
                self.each_counting(&sweep, &mut |record| counted.take(record))?;
                tell(&counted.finish(&sweep, &folder));
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
            false => Err(LabError::internal(failures.join("; "))),
        }
    }
}

/// A notice with its times by the clocks that people of this lab go by.
fn by_the_labs_clocks(notice: &Notice, zone: &TimeZone) -> Notice {
    let said = |text: &String| in_zone(text, zone).into_owned();
    Notice { subject: said(&notice.subject), lines: notice.lines.each_ref().map(said), ..notice.clone() }
}
