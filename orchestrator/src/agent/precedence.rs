//! Which host has a device first that several reach: `hosts:` of its entry says so.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::{Host, HostStatus};
use crate::lease::is_of_process;
use crate::store::StoreError;

use super::worker::Worker;
use super::{Agent, AgentMode};

/// For how long a device is left to the hosts that its entry names before this one: they look for sweeps every few
/// seconds. One of them that does not take it by then may not reach it.
const LEFT_TO_EARLIER: Duration = Duration::from_secs(30);

impl Worker<'_> {
    /// The host at work to which the device is left for now.
    pub(super) fn earlier_host(&mut self) -> Result<Option<String>, StoreError> {
        let Agent { store, assignment, leases, .. } = self.agent;
        let order = &self.device.preferred_hosts;
        if !assignment.is_shared || assignment.mode != AgentMode::Jobs || order.is_empty() {
            return Ok(None);
        }
        let since = *self.first_wanted_at.get_or_insert_with(Instant::now);
        if since.elapsed() >= LEFT_TO_EARLIER {
            return Ok(None);
        }
        Ok(goes_before(order, leases.holder(), &store.hosts(self.agent.now())?).map(str::to_owned))
    }
}

/// The first host at work that is named before the one whose process, or a task of it, this holder is. One that is not
/// named comes after all.
fn goes_before<'a>(order: &[String], own_holder: &str, hosts: &'a [Host]) -> Option<&'a str> {
    let own = hosts.iter().find(|host| is_of_process(own_holder, &host.registered.process));
    let earlier = order.iter().take_while(|name| own.is_none_or(|own| own.name() != name.as_str()));
    let at_work = |name: &String| hosts.iter().find(|host| host.name() == name && host.status() == HostStatus::Working);
    earlier.filter_map(at_work).map(Host::name).next()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::{HostState, NewHost};

    fn host(name: &str, state: HostState, seconds: u64) -> Host {
        Host {
            registered: NewHost {
                name: name.to_owned(),
                machine: String::new(),
                process: format!("process of {name}"),
                version: String::new(),
                figures: Default::default(),
            },
            state,
            state_by: None,
            registered_at: Timestamp::UNIX_EPOCH,
            beat_at: Timestamp::UNIX_EPOCH,
            since_beat: Duration::from_secs(seconds),
            ended_at: None,
            clock_ahead_ms: 0,
        }
    }

    #[test]
    fn a_device_is_left_to_hosts_at_work_that_are_named_before() {
        let order = ["a", "b", "c"].map(str::to_owned);
        let all = ["c", "b", "a", "d"].map(|name| host(name, HostState::Working, 1));
        let before = |own: &str, hosts: &[Host]| {
            goes_before(&order, &format!("process of {own}"), hosts).map(str::to_owned).unwrap_or_default()
        };
        assert_eq!(["a", "b", "c", "d", "nobody"].map(|own| before(own, &all)), ["", "a", "a", "a", "a"]);
        // A daemon carries each sweep out by a task of its own.
        assert_eq!(["a.1", "b.3", "c.12"].map(|own| before(own, &all)), ["", "a", "a"]);
        let some =
            [host("a", HostState::Working, 61), host("b", HostState::Draining, 1), host("c", HostState::Working, 1)];
        assert_eq!(["b", "c", "d"].map(|own| before(own, &some)), ["", "", "c"], "silent, and draining");
        assert_eq!(goes_before(&[], "process of d", &all), None);
    }
}
