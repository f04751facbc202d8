//! How far the numbers of each device can be trusted, from what was measured on it.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::{Device, HistoryCell, LinkHistory, PastRun, Sighting};
use crate::score::trust::{DatedMeasurement, DeviceTrust, PastMeasurement, PeriodLength, TrustPeriod, trust_periods};
use crate::store::{Store, StoreError};

use super::{Lab, LabError};

/// Most runs that are looked at of one device, and of all together: more take longer than people wait for a list, and
/// what was long ago says little of a device now.
const MOST_OF_DEVICE: usize = 200;
const MOST_OF_ALL: usize = 4000;
/// Most runs of one device that its trust over time is made of: the newest.
const MOST_OVER_TIME: u32 = 4000;
/// Fewest of one device, however many devices there are.
const FEWEST_OF_DEVICE: usize = 20;

/// How well a device of the lab repeats itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrustOfDevice {
    /// Its name.
    pub device: String,
    /// What it is a sibling by: the phone's model, or the chip and the number of its cores; `None` of one that never
    /// answered.
    pub model: Option<String>,
    /// When the oldest run was that was looked at.
    pub since: Option<Timestamp>,
    /// What its runs say.
    #[serde(flatten)]
    pub trust: DeviceTrust,
}

/// How well devices repeat themselves, and how far back that was looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct TrustOfDevices {
    /// Each of them.
    pub devices: Vec<TrustOfDevice>,
    /// How many runs of each device were looked at, at most: the newest.
    pub runs_looked_at: usize,
}

/// Most events of a device's connection that are looked at.
const MOST_EVENTS: u32 = 400;

/// What of a run's environment makes it another cell; the rest is the device's, and what became of it.
const OF_CELL: [&str; 6] = ["backend_version", "model", "model_parts", "inputs", "input_shape", "limits"];

/// The past of a device: its runs, oldest first, each with what was measured, and how it was reached meanwhile.
struct History {
    runs: Vec<PastRun>,
    cells: Vec<Rc<str>>,
    link: LinkHistory,
}

impl History {
    fn read(store: &dyn Store, device: &str, most: usize, cells: &mut Cells) -> Result<History, StoreError> {
        let mut runs = store.past_runs_of_device(device, u32::try_from(most).unwrap_or(u32::MAX))?;
        runs.reverse();
        let link = match runs.first() {
            Some(first) => store.link_history(device, first.at, MOST_EVENTS)?,
            None => LinkHistory::default(),
        };
        let cells = runs.iter().map(|run| cells.of(run)).collect();
        Ok(History { runs, cells, link })
    }

    fn measurements(&self) -> Vec<PastMeasurement<'_>> {
        let runs = self.runs.iter().zip(&self.cells);
        runs.map(|(run, cell)| PastMeasurement { cell, p50_ns: run.median_ns, judged: run.judged.as_deref() }).collect()
    }
}

/// What was measured, the same on all devices, in words that were made once for each of many runs.
#[derive(Default)]
struct Cells(HashMap<String, Rc<str>>);

impl Cells {
    fn of(&mut self, run: &PastRun) -> Rc<str> {
        let HistoryCell { weights, format, backend, options, precision, threads, batch, scenario, .. } = &*run.cell;
        let mut text = format!("{} {weights} {format} {backend} {precision} {threads} {batch} {scenario}", run.model);
        for (name, value) in options.iter().chain(run.environment.iter().filter(|it| OF_CELL.contains(&it.0.as_str())))
        {
            text.extend([" ", name, "=", value]);
        }
        if let Some(known) = self.0.get(&text) {
            return Rc::clone(known);
        }
        let cell: Rc<str> = text.as_str().into();
        self.0.insert(text, Rc::clone(&cell));
        cell
    }
}

impl Lab {
    /// How well these devices repeat themselves, and how they compare with the others of their model; all that are not
    /// disabled without names. A bounded number of the newest runs is looked at.
    ///
    /// # Errors
    /// When there is none of a name, or the store can't be read.
    pub fn device_trust(&self, names: &[String]) -> Result<TrustOfDevices, LabError> {
        let store = self.store()?;
        let wanted = self.select_devices(names)?;
        let sightings = store.sightings()?;
        let models: HashMap<&str, String> =
            sightings.iter().filter_map(|sighting| Some((sighting.device.as_str(), model(sighting)?))).collect();
        let is_asked = |device: &Device| {
            let own = models.get(device.name.as_str());
            wanted.iter().any(|it| it.name == device.name || own.is_some() && models.get(it.name.as_str()) == own)
        };
        let devices = self.union_devices()?.into_iter().map(|it| it.device);
        let devices: Vec<Device> = devices.filter(is_asked).collect();
        let runs_looked_at = (MOST_OF_ALL / devices.len().max(1)).clamp(FEWEST_OF_DEVICE, MOST_OF_DEVICE);
        let mut cells = Cells::default();
        let mut histories: BTreeMap<&str, History> = BTreeMap::new();
        for device in &devices {
            histories.insert(&device.name, History::read(store.as_ref(), &device.name, runs_looked_at, &mut cells)?);
        }
        let measurements: BTreeMap<&str, Vec<PastMeasurement<'_>>> =
            histories.iter().map(|(name, history)| (*name, history.measurements())).collect();
        let of = |device: &Device| {
            let model = models.get(device.name.as_str());
            let is_sibling = |name: &str| name != device.name && model.is_some() && models.get(name) == model;
            let siblings: Vec<_> =
                measurements.iter().filter(|(name, _)| is_sibling(name)).map(|(_, runs)| runs.clone()).collect();
            let links: Vec<&LinkHistory> =
                histories.iter().filter(|(name, _)| is_sibling(name)).map(|(_, history)| &history.link).collect();
            let own = measurements.get(device.name.as_str()).map(Vec::as_slice).unwrap_or_default();
            let history = histories.get(device.name.as_str());
            let trust = DeviceTrust::of(own, &siblings);
            TrustOfDevice {
                model: model.cloned(),
                since: history.and_then(|it| it.runs.first()).map(|run| run.at),
                trust: history.map(|it| trust.clone().with_link(&it.link, &links)).unwrap_or(trust),
                device: device.name.clone(),
            }
        };
        Ok(TrustOfDevices { devices: wanted.iter().map(of).collect(), runs_looked_at })
    }

    /// How well a device repeated itself over time, oldest first, by the days of the lab's clocks. A bounded number of
    /// the newest runs is looked at; a stretch that they begin in is left out, unless it is the only one.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn device_trust_over_time(&self, device: &str, length: PeriodLength) -> Result<Vec<TrustPeriod>, LabError> {
        let mut runs = self.store()?.past_runs_of_device(device, MOST_OVER_TIME)?;
        runs.reverse();
        let zone = self.time_zone();
        let mut cells = Cells::default();
        let named: Vec<Rc<str>> = runs.iter().map(|run| cells.of(run)).collect();
        let mut dated: Vec<DatedMeasurement<'_>> = Vec::new();
        for (run, cell) in runs.iter().zip(&named) {
            let day = zone.to_datetime(run.at).date();
            let run = PastMeasurement { cell, p50_ns: run.median_ns, judged: run.judged.as_deref() };
            dated.push(DatedMeasurement { day, run });
        }
        let mut periods = trust_periods(&dated, length);
        if runs.len() >= MOST_OVER_TIME as usize && periods.len() > 1 {
            periods.remove(0);
        }
        Ok(periods)
    }
}

/// What a device's siblings are the same by.
fn model(sighting: &Sighting) -> Option<String> {
    let facts = sighting.facts.as_ref()?;
    let phone = facts.android.as_ref().and_then(|android| android.model.clone());
    phone.or_else(|| Some(format!("{}, {} cores", facts.soc.as_ref()?, facts.cpus)))
}
