//! How far the numbers of each device can be trusted, from what was measured on it.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::{Device, JobId, Sighting};
use crate::planner;
use crate::score::trust::{DeviceTrust, PastMeasurement};
use crate::store::MeasuredRun;

use super::{Lab, LabError};

/// Most runs that are looked at of one device, and of all together: more take longer than people wait for a list, and
/// what was long ago says little of a device now.
const MOST_OF_DEVICE: usize = 200;
const MOST_OF_ALL: usize = 4000;
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

/// The runs of a device, oldest first, each with what was measured.
struct History {
    runs: Vec<MeasuredRun>,
    cells: Vec<JobId>,
}

impl History {
    fn measurements(&self) -> Vec<PastMeasurement<'_>> {
        let runs = self.runs.iter().zip(&self.cells);
        runs.map(|(run, cell)| PastMeasurement { cell: cell.as_str(), p50_ns: run.p50_ns, judged: run.judged.as_ref() })
            .collect()
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
        let devices: Vec<Device> = self.inventory()?.devices.into_iter().filter(is_asked).collect();
        let runs_looked_at = (MOST_OF_ALL / devices.len().max(1)).clamp(FEWEST_OF_DEVICE, MOST_OF_DEVICE);
        let mut cells: HashMap<JobId, JobId> = HashMap::new();
        let mut histories: BTreeMap<&str, History> = BTreeMap::new();
        for device in &devices {
            let runs = store.measured_runs(&device.name, u32::try_from(runs_looked_at).unwrap_or(u32::MAX))?;
            // The same job is measured in many sweeps.
            let cell = |run: &MeasuredRun| {
                let known = cells.entry(run.job.id.clone());
                known.or_insert_with(|| planner::cell_id_of_any_device(&run.job)).clone()
            };
            let cells = runs.iter().map(cell).collect();
            histories.insert(&device.name, History { runs, cells });
        }
        let measurements: BTreeMap<&str, Vec<PastMeasurement<'_>>> =
            histories.iter().map(|(name, history)| (*name, history.measurements())).collect();
        let of = |device: &Device| {
            let model = models.get(device.name.as_str());
            let is_sibling = |name: &str| name != device.name && model.is_some() && models.get(name) == model;
            let siblings: Vec<_> =
                measurements.iter().filter(|(name, _)| is_sibling(name)).map(|(_, runs)| runs.clone()).collect();
            let own = measurements.get(device.name.as_str()).map(Vec::as_slice).unwrap_or_default();
            TrustOfDevice {
                model: model.cloned(),
                since: histories.get(device.name.as_str()).and_then(|it| it.runs.first()).map(|run| run.at),
                trust: DeviceTrust::of(own, &siblings),
                device: device.name.clone(),
            }
        };
        Ok(TrustOfDevices { devices: wanted.iter().map(of).collect(), runs_looked_at })
    }
}

/// What a device's siblings are the same by.
fn model(sighting: &Sighting) -> Option<String> {
    let facts = sighting.facts.as_ref()?;
    let phone = facts.android.as_ref().and_then(|android| android.model.clone());
    phone.or_else(|| Some(format!("{}, {} cores", facts.soc.as_ref()?, facts.cpus)))
}
