//! What a device shares with others, whatever they are used for: its machine, and a place among the devices of its
//! farm.
//!
//! Main type: [`Turn`]. It is taken whole or not at all, so that nobody waits for somebody who waits.

use crate::domain::{Device, SweepId};
use crate::lease::{Lease, LeaseError, LeaseKeeper};
use crate::store::{LeaseHolder, StoreError};

/// All that a device shares with others, until it is given back.
#[must_use]
pub(super) struct Turn(Vec<Lease>);

/// Why it is not a device's turn.
#[derive(Debug)]
pub(super) enum NoTurn {
    /// Another device of its machine is worked on.
    Machine(LeaseHolder),
    /// As many devices of its farm are worked on as may be.
    Farm {
        /// Who works on them.
        holders: Vec<LeaseHolder>,
        /// That, in words.
        cause: String,
    },
}

impl NoTurn {
    /// Who has what it would take.
    pub(super) fn holders(&self) -> &[LeaseHolder] {
        match self {
            NoTurn::Machine(holder) => std::slice::from_ref(holder),
            NoTurn::Farm { holders, .. } => holders,
        }
    }
}

/// What came of taking something that others share.
type Taken<T> = Result<Result<T, NoTurn>, StoreError>;

impl Turn {
    /// Takes a device's turn, for a sweep or for something short.
    ///
    /// # Errors
    /// When the store can't be used.
    pub(super) fn take(leases: &LeaseKeeper, device: &Device, sweep: Option<&SweepId>) -> Taken<Turn> {
        let mut turn = Turn(Vec::new());
        for machine in device.machines() {
            match leases.device(&format!("machine {machine}"), sweep) {
                Ok(lease) => turn.0.push(lease),
                Err(LeaseError::Held(holder)) => return turn.without(NoTurn::Machine(holder)),
                Err(LeaseError::Store(error)) => return Err(error),
            }
        }
        let Device { max_parallel: Some(most), farm, .. } = device else { return Ok(Ok(turn)) };
        let mut holders = Vec::new();
        for place in 1..=*most {
            match leases.device(&format!("farm {farm} place {place}"), sweep) {
                Ok(lease) => {
                    turn.0.push(lease);
                    return Ok(Ok(turn));
                }
                Err(LeaseError::Held(holder)) => holders.push(holder),
                Err(LeaseError::Store(error)) => return Err(error),
            }
        }
        let cause = match most {
            1 => format!("1 device of farm {farm} is worked on, as many as may be"),
            most => format!("{most} devices of farm {farm} are worked on, as many as may be"),
        };
        turn.without(NoTurn::Farm { holders, cause })
    }

    /// One that takes nothing from others.
    pub(super) fn of_nothing() -> Turn {
        Turn(Vec::new())
    }

    fn without(self, why: NoTurn) -> Taken<Turn> {
        self.give_back()?;
        Ok(Err(why))
    }

    /// Gives back what the device shares with others.
    ///
    /// # Errors
    /// When the store can't be written; it then runs out by itself.
    pub(super) fn give_back(self) -> Result<(), StoreError> {
        self.0.into_iter().try_for_each(Lease::release)
    }
}
