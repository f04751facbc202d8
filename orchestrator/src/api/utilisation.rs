//! What the time of devices went into, over days.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::Device;
use crate::status::{MOST_DAYS, USUAL_DAYS, Utilisation, utilisation_of_days};

use super::endpoint::Call;
use super::{Api, Refusal};

/// How long figures are told again before they are read anew: that takes all of the lab's past, and many may look.
const FRESH: Duration = Duration::from_secs(60);

/// What the time of a device, or of the lab, went into. Shares are from 0 to 1; the first six make up the whole time.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct UtilisationAnswer {
    /// The device; null for all devices together that are not disabled.
    device: Option<String>,
    /// Over so many days.
    days: u16,
    /// Until then.
    #[schemars(with = "String")]
    until: Timestamp,
    /// Share of the time in which an attempt of a job was under way.
    busy: f64,
    /// Share in which nothing kept it from work, and it had none.
    idle: f64,
    /// Share in which a person kept it locked.
    locked: f64,
    /// Share in which it was quarantined, or does not answer.
    broken: f64,
    /// Share in which its farm file took it out of service.
    out_of_service: f64,
    /// Share before the lab first heard of it.
    not_known: f64,
    /// Attempts that ended with a result, a day.
    jobs_per_day: f64,
    /// Attempts that ended with a result or a failure.
    attempts: u64,
    /// Share of the attempts that failed.
    failed: f64,
    /// The same by kind of failure.
    failed_by_kind: BTreeMap<String, f64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct UtilisationQuery {
    /// Over the last so many days; 7 without it.
    #[schemars(range(min = 1, max = 3660))]
    days: Option<u16>,
}

impl UtilisationQuery {
    fn days(&self) -> Result<u16, Refusal> {
        let days = self.days.unwrap_or(USUAL_DAYS);
        let refused = || Refusal::bad_request(format!("`days` is from 1 to {MOST_DAYS}"));
        (1..=MOST_DAYS).contains(&days).then_some(days).ok_or_else(refused)
    }
}

/// Figures as they were read last.
pub(super) struct Figures {
    days: u16,
    until: Timestamp,
    read_at: Instant,
    /// Of each device that is not disabled, then of all of them together.
    rows: Vec<Utilisation>,
}

impl UtilisationAnswer {
    fn of(row: &Utilisation, Figures { days, until, .. }: &Figures) -> UtilisationAnswer {
        let row = row.clone();
        UtilisationAnswer {
            device: row.device,
            days: *days,
            until: *until,
            busy: row.busy,
            idle: row.idle,
            locked: row.locked,
            broken: row.broken,
            out_of_service: row.out_of_service,
            not_known: row.not_known,
            jobs_per_day: row.jobs_per_day,
            attempts: row.attempts,
            failed: row.failed,
            failed_by_kind: row.failed_by_kind,
        }
    }
}

impl Api {
    /// Figures of each device that is not disabled, then of all of them together. They are read by one at a time:
    /// whoever asks meanwhile gets the same.
    async fn figures(self: &Arc<Self>, days: u16) -> Result<Arc<Figures>, Refusal> {
        let mut last = self.figures.lock().await;
        if let Some(known) = last.as_ref().filter(|known| known.days == days && known.read_at.elapsed() < FRESH) {
            return Ok(Arc::clone(known));
        }
        let read = move |api: &Api| {
            let devices = api.lab.union_devices()?;
            let in_use = devices.iter().map(|it| &it.device).filter(|device| device.disabled.is_none());
            api.read_figures(&in_use.collect::<Vec<_>>(), days)
        };
        let read = Arc::new(self.blocking(read).await?);
        *last = Some(Arc::clone(&read));
        Ok(read)
    }

    fn read_figures(&self, devices: &[&Device], days: u16) -> Result<Figures, Refusal> {
        let (until, read_at) = (self.lab.now(), Instant::now());
        let rows = utilisation_of_days(self.store.as_ref(), devices, days, until)?;
        Ok(Figures { days, until, read_at, rows })
    }
}

impl Figures {
    fn answer(&self, device: Option<&str>) -> Option<UtilisationAnswer> {
        let row = self.rows.iter().find(|row| row.device.as_deref() == device);
        row.map(|row| UtilisationAnswer::of(row, self))
    }
}

pub(super) async fn of_lab(call: Call<UtilisationQuery>) -> Result<UtilisationAnswer, Refusal> {
    let figures = call.api.figures(call.query.days()?).await?;
    figures.answer(None).ok_or_else(|| Refusal::internal("the lab has no figures"))
}

pub(super) async fn of_device(call: Call<UtilisationQuery>) -> Result<UtilisationAnswer, Refusal> {
    let (days, name) = (call.query.days()?, call.name);
    if let Some(answer) = call.api.figures(days).await?.answer(Some(&name)) {
        return Ok(answer);
    }
    // One that is disabled counts for itself only; another may be new.
    let read = move |api: &Api| {
        let device = api.find_device(&name)?.device;
        let answer = api.read_figures(&[&device], days)?.answer(Some(&device.name));
        answer.ok_or_else(|| Refusal::internal("a device has no figures"))
    };
    call.api.blocking(read).await
}
