//! What may follow what: one table for each thing of the store that has a life.
//!
//! A step names the states it starts from and the one it leads to. The store binds its statements to these tables, and
//! refuses whatever else is tried: a step that is not here can't be taken.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Defines states, the steps between them, and both as data.
macro_rules! state_machine {
    (
        $(#[$state_meta:meta])* states $state:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+ }
        $(#[$step_meta:meta])* steps $step:ident {
            $($(#[$taken_meta:meta])* $taken:ident: $($from:ident)|+ => $to:ident,)+
        }
    ) => {
        $(#[$state_meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $state { $($(#[$variant_meta])* #[serde(rename = $word)] $variant),+ }

        impl $state {
            /// Every state.
            pub const ALL: &'static [$state] = &[$($state::$variant),+];

            /// The word used in the store.
            pub fn as_str(self) -> &'static str {
                match self { $($state::$variant => $word),+ }
            }
        }

        impl fmt::Display for $state {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(self.as_str()) }
        }

        impl FromStr for $state {
            type Err = String;
            fn from_str(word: &str) -> Result<$state, String> {
                let found = $state::ALL.iter().copied().find(|state| state.as_str() == word);
                found.ok_or_else(|| format!(concat!("{:?} is no ", stringify!($state)), word))
            }
        }

        $(#[$step_meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $step { $($(#[$taken_meta])* $taken),+ }

        impl $step {
            /// Every step.
            pub const ALL: &'static [$step] = &[$($step::$taken),+];

            /// The states it may start from.
            pub fn from(self) -> &'static [$state] {
                match self { $($step::$taken => &[$($state::$from),+]),+ }
            }

            /// The state it leads to.
            pub fn to(self) -> $state {
                match self { $($step::$taken => $state::$to),+ }
            }

            /// Whether it may be taken in this state.
            pub fn may_follow(self, state: $state) -> bool {
                self.from().contains(&state)
            }
        }
    };
}

state_machine! {
    /// What a sweep is. Whether a process carries it out right now is its lease's business.
    states SweepState {
        /// Some of its jobs have no record yet.
        Open = "open",
        /// As before, and a person wants no more of it.
        Cancelling = "cancelling",
        /// Each of its jobs has a record.
        Finished = "finished",
        /// Each of its jobs has a record, and a person had cancelled it.
        Cancelled = "cancelled",
    }
    /// What happens to a sweep.
    steps SweepStep {
        /// A person cancels it.
        Cancel: Open => Cancelling,
        /// Its last job got its record.
        Finish: Open => Finished,
        /// Its last job got its record after a person had cancelled it.
        FinishCancelled: Cancelling => Cancelled,
    }
}

impl SweepState {
    /// Whether each of its jobs has a record.
    pub fn is_over(self) -> bool {
        matches!(self, SweepState::Finished | SweepState::Cancelled)
    }
}

state_machine! {
    /// What a job is.
    states JobState {
        /// It waits to be claimed.
        Waiting = "waiting",
        /// One of its runs is live.
        Running = "running",
        /// It has its record, for ever.
        Recorded = "recorded",
    }
    /// What happens to a job.
    steps JobStep {
        /// A run of it is claimed.
        Claim: Waiting => Running,
        /// Its run ended without a result, and another may follow.
        Requeue: Running => Waiting,
        /// Its run ended with its record.
        Finish: Running => Recorded,
        /// It gets a record without a run.
        Close: Waiting => Recorded,
    }
}

state_machine! {
    /// What a run is: one attempt of a job.
    states RunState {
        /// Under way, or left by a process that is gone: its lease tells.
        Live = "live",
        /// It ended with the job's record.
        Recorded = "recorded",
        /// It ended without a result.
        Requeued = "given_back",
    }
    /// What happens to a run.
    steps RunStep {
        /// Another process goes on with it, under a new epoch.
        TakeOver: Live => Live,
        /// It ends with the job's record.
        Finish: Live => Recorded,
        /// It ends without a result.
        Requeue: Live => Requeued,
    }
}

state_machine! {
    /// What a device is to the lab. Whether a process uses it right now is its lease's business; whether a person took
    /// it out of service stands in its farm file.
    states DeviceState {
        /// It takes jobs.
        InService = "in_service",
        /// It failed too often in a row, and takes no job until a health probe passes or a person releases it.
        Quarantined = "quarantined",
    }
    /// What happens to a device.
    steps DeviceStep {
        /// It failed too often, or a health probe failed again.
        Quarantine: InService | Quarantined => Quarantined,
        /// A health probe passed, or a person says it is well.
        Release: Quarantined => InService,
    }
}

state_machine! {
    /// What the due time of a schedule is.
    states StartState {
        /// Its sweep is still to be begun.
        Waiting = "waiting",
        /// Its sweep is in the store.
        Begun = "begun",
        /// It has no sweep, for a reason.
        Skipped = "left_out",
    }
    /// What happens to the due time of a schedule.
    steps StartStep {
        /// Its sweep is added to the store.
        Begin: Waiting => Begun,
        /// No sweep is begun for it after all.
        Skip: Waiting => Skipped,
    }
}

state_machine! {
    /// What a change to slower is, once it was found.
    states RegressionState {
        /// It is there.
        Open = "open",
        /// It is there no more, or can't be looked at any more.
        Gone = "gone",
        /// A person says that it is as it should be: the new level.
        Acknowledged = "acknowledged",
    }
    /// What happens to it.
    steps RegressionStep {
        /// A sweep finds it no more.
        End: Open => Gone,
        /// A person acknowledges it.
        Acknowledge: Open => Acknowledged,
    }
}

state_machine! {
    /// What a host is to the lab. Whether it is there right now is told by its beats.
    states HostState {
        /// Its daemon begins runs.
        Working = "working",
        /// Its daemon lets runs end, and begins no further one.
        Draining = "draining",
        /// It is forgotten, until a daemon registers under its name again.
        Removed = "removed",
    }
    /// What happens to a host.
    steps HostStep {
        /// A person wants no more runs begun there.
        Drain: Working => Draining,
        /// A person wants runs begun there again.
        Resume: Draining => Working,
        /// A person has it forgotten, when it is not there any more.
        Remove: Working | Draining => Removed,
        /// A daemon registers.
        Register: Removed => Working,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From each state that is no end, every end can be reached, and from an end nothing can.
    macro_rules! sound {
        ($name:ident, $state:ident, $step:ident, ends: [$($end:ident),*]) => {
            #[test]
            fn $name() {
                let ends: &[$state] = &[$($state::$end),*];
                for state in $state::ALL {
                    let next: Vec<$state> =
                        $step::ALL.iter().filter(|step| step.may_follow(*state)).map(|step| step.to()).collect();
                    assert_eq!(next.is_empty(), ends.contains(state), "{state}");
                    assert_eq!(state.as_str().parse::<$state>(), Ok(*state));
                }
                for step in $step::ALL {
                    assert!(!step.from().is_empty());
                }
            }
        };
    }

    sound!(sweeps, SweepState, SweepStep, ends: [Finished, Cancelled]);
    sound!(jobs, JobState, JobStep, ends: [Recorded]);
    sound!(runs, RunState, RunStep, ends: [Recorded, Requeued]);
    sound!(starts, StartState, StartStep, ends: [Begun, Skipped]);
    sound!(regressions, RegressionState, RegressionStep, ends: [Gone, Acknowledged]);
    sound!(devices, DeviceState, DeviceStep, ends: []);
    sound!(hosts, HostState, HostStep, ends: []);

    #[test]
    fn a_record_is_for_ever() {
        assert!(JobStep::ALL.iter().all(|step| !step.may_follow(JobState::Recorded)));
        assert!("forgotten".parse::<JobState>().is_err());
    }
}
