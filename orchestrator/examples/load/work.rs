//! What one host does with the sweep of a lab: as a daemon does it, on simulated devices.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use farmctl::agent::{Agent, AgentMode, Assignment, SweepRules, event_queue};
use farmctl::domain::{EventKind, SweepRow};
use farmctl::lease::{Clock, LeaseKeeper};
use farmctl::store::Store;
use tokio::time::Instant;

use super::Trouble;
use super::chance::Chance;
use super::device::{Nature, SimDevice};
use super::lab::Lab;
use super::transport::{Harshness, SimFarm};
use super::world::World;

/// One host of a lab.
pub struct Host {
    pub name: String,
    pub store: Arc<dyn Store>,
    pub clock: Clock,
    /// Whether others carry out the same sweep.
    pub is_shared: bool,
    /// Those of the lab's devices that it reaches.
    pub reaches: Range<usize>,
    /// For how long it begins runs.
    pub begins_for: Duration,
}

impl Host {
    /// Carries out the jobs of its devices. Returns when each device had its first result, since the beginning.
    pub async fn carry_out(&self, lab: &Lab, sweep: &SweepRow, world: &Arc<World>) -> Result<Vec<Duration>, Trouble> {
        let began = Instant::now();
        let devices = lab.inventory.devices[self.reaches.clone()].to_vec();
        let names: Vec<String> = devices.iter().map(|device| device.name.clone()).collect();
        let (events, mut told) = event_queue();
        let first_results = tokio::spawn(async move {
            let mut first = BTreeMap::new();
            while let Some(event) = told.recv().await {
                if let (EventKind::RunFinished { .. }, Some(device)) = (&event.kind, event.device) {
                    first.entry(device).or_insert_with(|| began.elapsed());
                }
            }
            first.into_values().collect()
        });
        let leases = LeaseKeeper::start(Arc::clone(&self.store), self.name.clone(), Arc::clone(&self.clock))?;
        let lease = match self.is_shared {
            true => leases.part(&sweep.id, &names).map(|(part, _)| part),
            false => leases.sweep(&sweep.id),
        };
        let lease = lease.map_err(|_| "the sweep can't be had")?;
        let assignment = Assignment {
            mode: AgentMode::Jobs,
            sweep: sweep.clone(),
            rules: SweepRules::from(&lab.sweep),
            lab_devices: lab.inventory.devices.clone(),
            max_devices: devices.len(),
            is_shared: self.is_shared,
        };
        let farm = SimFarm { devices: self.simulated(world), harshness: Harshness { faults: 0, moments: 0 } };
        let agent = Arc::new(Agent::new(assignment, lab.files(), Arc::new(farm), leases, events)?);
        let stop = Arc::clone(agent.stop());
        let begins_for = self.begins_for;
        let timer = tokio::spawn(async move {
            tokio::time::sleep(begins_for).await;
            stop.raise(1);
        });
        Arc::clone(&agent).carry_out(devices, &lease).await?;
        timer.abort();
        lease.release().map_err(|_| "the sweep can't be given back")?;
        // What listens ends with the last who speaks.
        drop(agent);
        Ok(tokio::time::timeout(Duration::from_secs(60), first_results).await??)
    }

    fn simulated(&self, world: &Arc<World>) -> std::collections::HashMap<String, Arc<SimDevice>> {
        let device = |number: usize| {
            let name = format!("d{number}");
            let chance = Chance::new(1, number as u64 + 1);
            (name.clone(), Arc::new(SimDevice::new(name, Nature::Well, Arc::clone(world), chance)))
        };
        self.reaches.clone().map(device).collect()
    }
}
