//! What a device said of itself: kept, and held against what it had said before.

use jiff::Timestamp;

use crate::domain::{DeviceFacts, Event, EventKind, Sighting};
use crate::store::{Store, StoreError};

/// Below this, storage is nearly full: a few models have no room.
pub(super) const NEARLY_FULL_BYTES: u64 = 1_000_000_000;

/// Notes that a device answered; what is another than before becomes events.
///
/// # Errors
/// When the store can't be used.
pub(super) fn note_seen(
    store: &dyn Store,
    device: &str,
    facts: &DeviceFacts,
    free_bytes: u64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let before = store.sighting(device)?;
    store.device_seen(device, facts, free_bytes, now)?;
    let found = match before.filter(|before| before.facts.is_some()) {
        Some(before) => differences(&before, facts, free_bytes),
        // At first sight nothing is another than before, but a clock may be wrong.
        None => clock_differs(None, facts.clock_off_ms).into_iter().collect(),
    };
    for Difference { what, before, now: now_is } in found {
        let kind = EventKind::DeviceDiffers { what: what.to_owned(), before, now: now_is };
        let device = Some(device.to_owned());
        store.append_event(&Event { at: now, sweep_id: None, device, job_id: None, run_id: None, kind })?;
    }
    Ok(())
}

/// Something of a device that is another than before.
struct Difference {
    what: &'static str,
    before: String,
    now: String,
}

impl Difference {
    fn new(what: &'static str, before: String, now: String) -> Difference {
        Difference { what, before, now }
    }
}

/// What is another than before.
fn differences(before: &Sighting, now: &DeviceFacts, free_bytes: u64) -> Vec<Difference> {
    let Some(was) = &before.facts else { return Vec::new() };
    let android = |facts: &DeviceFacts, text: fn(&crate::domain::AndroidFacts) -> &Option<String>| {
        facts.android.as_ref().and_then(|android| text(android).clone()).unwrap_or_default()
    };
    let bytes = |facts: &DeviceFacts| format!("{} bytes", facts.memory_total_bytes);
    let facts = [
        Difference::new("operating system", was.os.clone(), now.os.clone()),
        Difference::new("kernel", was.kernel.clone(), now.kernel.clone()),
        Difference::new("build", android(was, |it| &it.build), android(now, |it| &it.build)),
        Difference::new("serial number", android(was, |it| &it.serial), android(now, |it| &it.serial)),
        Difference::new("chip", was.soc.clone().unwrap_or_default(), now.soc.clone().unwrap_or_default()),
        Difference::new("cores", was.cpus.to_string(), now.cpus.to_string()),
        Difference::new("memory", bytes(was), bytes(now)),
    ];
    let mut found: Vec<Difference> = facts.into_iter().filter(|fact| fact.before != fact.now).collect();
    let health = |facts: &DeviceFacts| facts.battery.as_ref().and_then(|battery| battery.health.clone());
    // One that was not told before is no change.
    let told = health(was).zip(health(now)).filter(|(before, now)| before != now);
    found.extend(told.map(|(before, now)| Difference::new("battery health", before, now)));
    found.extend(clock_differs(was.clock_off_ms, now.clock_off_ms));
    let is_full = |bytes: u64| bytes < NEARLY_FULL_BYTES;
    if let Some(free_before) = before.free_bytes.filter(|before| is_full(*before) != is_full(free_bytes)) {
        let what = if is_full(free_bytes) { "storage, nearly full" } else { "storage" };
        let text = |bytes: u64| format!("{bytes} bytes free");
        found.push(Difference::new(what, text(free_before), text(free_bytes)));
    }
    found
}

/// Whether a clock that was right is off, or the other way round. How far it is off differs each time.
fn clock_differs(before: Option<i64>, now: Option<i64>) -> Option<Difference> {
    let differs = before.is_some() != now.is_some();
    differs.then(|| Difference::new("clock", clock_text(before), clock_text(now)))
}

/// How far off a clock is, as a person would say it.
pub(super) fn clock_text(off_ms: Option<i64>) -> String {
    let Some(off_ms) = off_ms else { return "right".to_owned() };
    let seconds = off_ms.unsigned_abs() / 1000;
    let amount = match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    };
    format!("{amount} {}", if off_ms < 0 { "behind" } else { "ahead" })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::domain::Battery;
    use crate::domain::sample::{self, at};
    use crate::store::EventStore as _;
    use crate::store::sqlite::SqliteStore;

    #[test]
    fn what_is_another_than_before_is_told_once() {
        let store = SqliteStore::in_memory().unwrap();
        let facts = sample::record("a", "mobilenet_v2").device.unwrap();
        let updated = DeviceFacts { os: "Android 99".to_owned(), ..facts.clone() };
        let battery = |health: &str| {
            let battery = Battery { health: Some(health.to_owned()), ..Battery::default() };
            DeviceFacts { battery: Some(battery), ..updated.clone() }
        };
        let (good, hot) = (battery("good"), battery("overheat"));
        for (seconds, facts, free_bytes) in [
            (0, &facts, 5 << 30),
            (1, &facts, 4 << 30),
            (2, &updated, 4 << 30),
            (3, &updated, 5_000),
            (4, &updated, 4_000),
            (5, &good, 4_000),
            (6, &hot, 4_000),
            (7, &hot, 4_000),
        ] {
            note_seen(&store, "a", facts, free_bytes, at(seconds)).unwrap();
        }
        let told: Vec<(i64, String, String)> = store
            .device_events("a", 99)
            .unwrap()
            .into_iter()
            .map(|event| match event.kind {
                EventKind::DeviceDiffers { what, now, .. } => (event.at.duration_since(at(0)).as_secs(), what, now),
                other => panic!("{other:?}"),
            })
            .collect();
        let full = (3, "storage, nearly full".to_owned(), "5000 bytes free".to_owned());
        let health = (6, "battery health".to_owned(), "overheat".to_owned());
        assert_eq!(told, [(2, "operating system".to_owned(), "Android 99".to_owned()), full, health]);
    }

    #[test]
    fn a_clock_is_told_of_when_it_goes_wrong_and_when_it_is_right_again() {
        let store = SqliteStore::in_memory().unwrap();
        let facts = sample::record("a", "mobilenet_v2").device.unwrap();
        let day_ms = 86_400_000;
        let offs = [Some(-20_786 * day_ms), Some(-day_ms), None, None, Some(7_000)];
        for (seconds, clock_off_ms) in (0..).zip(offs) {
            note_seen(&store, "a", &DeviceFacts { clock_off_ms, ..facts.clone() }, 5 << 30, at(seconds)).unwrap();
        }
        let told = store.device_events("a", 99).unwrap().into_iter().map(|event| match event.kind {
            EventKind::DeviceDiffers { what, before, now } => format!("{what}: {before}, {now}"),
            other => panic!("{other:?}"),
        });
        let expected = ["clock: right, 20786 days behind", "clock: 24 h behind, right", "clock: right, 7 s ahead"];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }
}
