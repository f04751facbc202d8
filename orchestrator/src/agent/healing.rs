use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::domain::{Device, EventKind, TransportConfig};
use crate::transport::adb::{HealingNotice, take_healing_notices};

use super::events::{Events, Subject};

/// How soon a step is told of.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Makes events of what was done to adb servers and their devices, until it is ended or dropped.
pub(super) struct Healing {
    task: JoinHandle<()>,
    end: oneshot::Sender<()>,
}

impl Healing {
    /// Begins to look; `phones` are the devices that steps may be about.
    pub(super) fn watch(events: Events, phones: &[Device]) -> Healing {
        let names = names(phones);
        let (end, mut ended) = oneshot::channel();
        let task = tokio::spawn(async move {
            // Whoever is gone without a word wants no more events either.
            while tokio::time::timeout(POLL_INTERVAL, &mut ended).await.is_err() {
                tell(&events, &names).await;
            }
            tell(&events, &names).await;
        });
        Healing { task, end }
    }

    /// Tells the last steps.
    pub(super) async fn end(self) {
        let _ = self.end.send(());
        if let Err(error) = self.task.await {
            tracing::error!(%error, "steps of healing were not told of");
        }
    }
}

/// Names of devices by what names them to their server.
fn names(phones: &[Device]) -> HashMap<String, String> {
    let named = phones.iter().filter_map(|device| match &device.transport {
        TransportConfig::Adb(endpoint) => {
            let words = [&endpoint.serial, &endpoint.address];
            Some(words.into_iter().flatten().map(|word| (word.clone(), device.name.clone())))
        }
        _ => None,
    });
    named.flatten().collect()
}

async fn tell(events: &Events, names: &HashMap<String, String>) {
    for HealingNotice { server, serial, step } in take_healing_notices() {
        let device = serial.as_ref().and_then(|serial| names.get(serial)).cloned();
        events
            .emit(Subject { device, ..Subject::default() }, EventKind::TransportHealing { server, serial, step })
            .await;
    }
}
