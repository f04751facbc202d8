//! Waits for a device that has just booted, until it is quiet: while it starts what it starts, it is as busy as never
//! after.

use std::time::Duration;

use farmctl_protocol::DeviceRest;
use tokio::time::Instant;

use crate::device::Session;
use crate::domain::{Device, EventKind};

use super::events::Subject;
use super::{Agent, AgentMode};

/// So long after its boot a device may still be busy with it.
const JUST_BOOTED: Duration = Duration::from_secs(5 * 60);
/// What share of its processors' time may be used.
const QUIET_LOAD: f64 = 0.3;
/// Time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Waits for a device that has just booted, for as long as one may take to arrive; tells of it, and of one that is busy
/// all that time. A device that says neither when it booted nor how busy it is does not wait.
pub(super) async fn wait_until_quiet(agent: &Agent, device: &Device, session: &Session) {
    if agent.assignment.mode != AgentMode::Jobs {
        return;
    }
    let limit = Duration::from_secs_f64(agent.assignment.rules.timeouts.arrive_seconds);
    let give_up_at = Instant::now() + limit;
    let mut before = look(session).await;
    let mut is_told = false;
    while is_young(&before) {
        tokio::select! {
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
            () = agent.stopped() => return,
        }
        let now = look(session).await;
        let Some(load) = now.load_since(&before).filter(|load| *load > QUIET_LOAD) else { return };
        let busy = format!(
            "it booted {:.0} s ago, and {:.0} % of its processors' time is used",
            now.uptime_ms.unwrap_or(0) as f64 / 1e3,
            load * 100.0
        );
        if Instant::now() >= give_up_at {
            let message = format!(
                "{busy}, more than {:.0} %, after {} s (timeouts.arrive_seconds): it is measured all the same",
                QUIET_LOAD * 100.0,
                limit.as_secs_f64()
            );
            agent.events.emit(Subject::device(&device.name), EventKind::DeviceWarning { message }).await;
            return;
        }
        if !is_told {
            agent.events.emit(Subject::device(&device.name), EventKind::DeviceWaiting { cause: busy }).await;
            is_told = true;
        }
        before = now;
    }
}

/// What the device says; nothing where it does not answer, which others find out.
async fn look(session: &Session) -> DeviceRest {
    session.rest().await.unwrap_or_else(|failure| {
        tracing::warn!(%failure, "how busy it is is not known");
        DeviceRest::default()
    })
}

fn is_young(rest: &DeviceRest) -> bool {
    rest.busy_ms.is_some() && rest.uptime_ms.is_some_and(|uptime| Duration::from_millis(uptime) < JUST_BOOTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_device_that_has_just_booted_and_says_so_is_waited_for() {
        let rest = |uptime_ms, busy_ms| DeviceRest { uptime_ms, busy_ms, cpus: 4, ..DeviceRest::default() };
        assert!(is_young(&rest(Some(40_000), Some(9))));
        assert!(!is_young(&rest(Some(300_000), Some(9))), "it had its time");
        assert!(!is_young(&rest(Some(40_000), None)) && !is_young(&rest(None, Some(9))));
    }
}
