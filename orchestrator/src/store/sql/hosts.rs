use std::time::Duration;

use jiff::Timestamp;

use super::events::EventRow;
use super::value::{Row, named_params, params};
use super::{Connection, Database, Outcome, SqlStore, Transaction, corrupt, events, from_json, lease_time, to_json};
use super::{nanoseconds, timestamp};
use crate::domain::{DeclaredDevice, Event, Host, HostFigures, HostState, HostStep, NewHost};
use crate::store::{Beat, HostChange, HostStore, Registration, StoreError};

const REGISTER: &str = "
    INSERT INTO hosts (name, machine, process, version, state, registered_at_ns, beat_at_ns, devices, load_milli, cores,
                       clock_ahead_ms)
    VALUES (:name, :machine, :process, :version, 'working', :now_ns, :now_ns, :devices, :load_milli, :cores, :ahead_ms)
    ON CONFLICT (name) DO UPDATE SET
        machine = :machine, process = :process, version = :version,
        state = CASE WHEN hosts.state = 'removed' THEN 'working' ELSE hosts.state END,
        state_by = CASE WHEN hosts.state = 'removed' THEN NULL ELSE hosts.state_by END,
        registered_at_ns = :now_ns, beat_at_ns = :now_ns, ended_at_ns = NULL, devices = :devices,
        load_milli = :load_milli, cores = :cores, clock_ahead_ms = :ahead_ms";

const BEAT: &str = "
    UPDATE hosts SET beat_at_ns = :now_ns, ended_at_ns = NULL, devices = :devices, load_milli = :load_milli,
        cores = :cores, clock_ahead_ms = :ahead_ms
    WHERE name = :name AND process = :process AND state <> 'removed'";

const END: &str = "UPDATE hosts SET ended_at_ns = ?3 WHERE name = ?1 AND process = ?2";

const HOSTS: &str = "
    SELECT name, machine, process, version, state, state_by, registered_at_ns, beat_at_ns, ended_at_ns, devices,
           load_milli, cores, clock_ahead_ms
    FROM hosts WHERE CAST(?1 AS TEXT) IS NULL AND state <> 'removed' OR name = ?1 ORDER BY name";

const STEP: &str = "UPDATE hosts SET state = ?2, state_by = ?3 WHERE name = ?1 AND state = ?4";

const DECLARE: &str = "
    INSERT INTO declared_devices (host, device, hash, declared_at, transport, declaration)
    VALUES (:host, :device, :hash, :declared_at, :transport, :declaration)";

const DECLARED: &str = "SELECT host, hash, declaration FROM declared_devices ORDER BY device, host";

impl<D: Database> HostStore for SqlStore<D> {
    fn register_host(
        &self,
        host: &NewHost,
        is_alone: bool,
        is_gone: &dyn Fn(&str) -> bool,
        now: Timestamp,
    ) -> Result<Registration, StoreError> {
        self.transaction("register this host", |transaction| {
            let clock = database_clock(transaction.0, now)?;
            let found = found_host(transaction.0, &host.name, clock)?;
            match found.filter(|other| !is_alone && !may_replace(host, other, is_gone)) {
                Some(other) => return Ok(Registration::Refused(Box::new(other))),
                None if is_alone => {
                    transaction.execute("DELETE FROM declared_devices WHERE host <> ?1", [&host.name])?;
                    transaction.execute("DELETE FROM hosts WHERE name <> ?1", [&host.name])?;
                }
                None => {}
            }
            let NewHost { name, machine, process, version, figures } = host;
            let HostFigures { devices, load_milli, cores } = figures;
            transaction.execute(
                REGISTER,
                named_params! {
                    ":name": name, ":machine": machine, ":process": process, ":version": version,
                    ":now_ns": clock.now_ns, ":devices": devices, ":load_milli": load_milli, ":cores": cores,
                    ":ahead_ms": clock.ahead_ms,
                },
            )?;
            Ok(Registration::Done)
        })
    }

    fn beat_host(&self, name: &str, process: &str, figures: &HostFigures, now: Timestamp) -> Result<Beat, StoreError> {
        let HostFigures { devices, load_milli, cores } = figures;
        self.transaction("tell that this host is there", |transaction| {
            let clock = database_clock(transaction.0, now)?;
            transaction.execute(
                BEAT,
                named_params! {
                    ":name": name, ":process": process, ":now_ns": clock.now_ns, ":devices": devices,
                    ":load_milli": load_milli, ":cores": cores, ":ahead_ms": clock.ahead_ms,
                },
            )?;
            Ok(match found_host(transaction.0, name, clock)? {
                None => Beat::Forgotten,
                Some(host) if host.state == HostState::Removed => Beat::Forgotten,
                Some(host) if host.registered.process != process => Beat::Taken(Box::new(host)),
                Some(host) => Beat::Kept { state: host.state, by: host.state_by },
            })
        })
    }

    fn end_host(&self, name: &str, process: &str, now: Timestamp) -> Result<(), StoreError> {
        self.transaction("tell that this host leaves", |transaction| {
            let clock = database_clock(transaction.0, now)?;
            transaction.execute(END, params![name, process, clock.now_ns]).map(drop)
        })
    }

    fn hosts(&self, now: Timestamp) -> Result<Vec<Host>, StoreError> {
        self.connected("list the hosts", |connection| {
            let clock = database_clock(connection, now)?;
            listed_hosts(connection, None, clock)
        })
    }

    fn step_host(
        &self,
        name: &str,
        step: HostStep,
        by: &str,
        now: Timestamp,
        event: &Event,
    ) -> Result<HostChange, StoreError> {
        let row = EventRow::of(event)?;
        self.transaction("change the state of a host", |transaction| {
            let clock = database_clock(transaction.0, now)?;
            let found = found_host(transaction.0, name, clock)?.filter(|host| host.state != HostState::Removed);
            let Some(host) = found else { return Ok(HostChange::Unknown) };
            let is_refused = step == HostStep::Remove && host.is_there();
            if is_refused || !step.may_follow(host.state) {
                return Ok(HostChange::NotSo(Box::new(host)));
            }
            transaction.execute(STEP, params![name, step.to().as_str(), by, host.state.as_str()])?;
            if step == HostStep::Remove {
                transaction.execute("DELETE FROM declared_devices WHERE host = ?1", [name])?;
            }
            events::insert(transaction, &row)?;
            Ok(HostChange::Done)
        })
    }

    fn publish_devices(&self, host: &str, process: &str, devices: &[DeclaredDevice]) -> Result<bool, StoreError> {
        let declarations = devices.iter().map(|it| to_json(&it.device)).collect::<Result<Vec<_>, _>>()?;
        self.transaction("publish the devices of this host", |transaction| {
            let sql = "SELECT 'it is' FROM hosts WHERE name = ?1 AND process = ?2 AND state <> 'removed'";
            if transaction.first(sql, [host, process], |row| row.get::<String>(0))?.is_none() {
                return Ok(false);
            }
            transaction.execute("DELETE FROM declared_devices WHERE host = ?1", [host])?;
            for (DeclaredDevice { device, hash, .. }, declaration) in devices.iter().zip(&declarations) {
                transaction.execute(
                    DECLARE,
                    named_params! {
                        ":host": host, ":device": device.name, ":hash": hash, ":declared_at": device.declared_at,
                        ":transport": device.transport.name(), ":declaration": declaration,
                    },
                )?;
            }
            Ok(true)
        })
    }

    fn declared_devices(&self) -> Result<Vec<DeclaredDevice>, StoreError> {
        let rows = self.query("list what hosts declare", DECLARED, [], |row| {
            Ok((DeclaredRow { host: row.get(0)?, hash: row.get(1)? }, row.get::<String>(2)?))
        })?;
        let declared = rows.into_iter().map(|(DeclaredRow { host, hash }, json)| {
            Ok(DeclaredDevice { host, hash, device: from_json("what a host declares", &json)? })
        });
        declared.collect()
    }
}

/// What stands beside a declaration.
struct DeclaredRow {
    host: String,
    hash: String,
}

/// What time it is to the database.
#[derive(Debug, Clone, Copy)]
struct DatabaseClock {
    now_ns: i64,
    /// How far whoever asks is ahead of it.
    ahead_ms: i64,
}

fn database_clock(connection: &dyn Connection, now: Timestamp) -> Outcome<DatabaseClock> {
    const NS_PER_MS: i64 = 1_000_000;
    let now_ns = lease_time::deciding_ns(connection, now)?;
    Ok(DatabaseClock { now_ns, ahead_ms: nanoseconds(now).saturating_sub(now_ns) / NS_PER_MS })
}

/// Whether a daemon may be the host of a name that another one registered.
fn may_replace(new: &NewHost, other: &Host, is_gone: &dyn Fn(&str) -> bool) -> bool {
    let NewHost { machine, process, .. } = &other.registered;
    if other.state == HostState::Removed || *process == new.process {
        return true;
    }
    // A machine without an identity may be this one.
    let is_other_machine = *machine != new.machine && !machine.is_empty() && !new.machine.is_empty();
    !is_other_machine && (!other.is_there() || is_gone(process))
}

/// The host of this name, also one that is forgotten.
fn found_host(connection: &dyn Connection, name: &str, clock: DatabaseClock) -> Outcome<Option<Host>> {
    Ok(listed_hosts(connection, Some(name), clock)?.into_iter().next())
}

fn listed_hosts(connection: &dyn Connection, name: Option<&str>, clock: DatabaseClock) -> Outcome<Vec<Host>> {
    let rows = Transaction(connection).query(HOSTS, params![name], HostRow::read)?;
    Ok(rows.into_iter().map(|row| row.host(clock)).collect::<Result<Vec<_>, StoreError>>()?)
}

/// A host as the database has it.
struct HostRow {
    registered: NewHost,
    state: String,
    state_by: Option<String>,
    registered_at_ns: i64,
    beat_at_ns: i64,
    ended_at_ns: Option<i64>,
    clock_ahead_ms: i64,
}

impl HostRow {
    fn read(row: &Row<'_>) -> Outcome<HostRow> {
        let figures = HostFigures { devices: row.get(9)?, load_milli: row.get(10)?, cores: row.get(11)? };
        Ok(HostRow {
            registered: NewHost {
                name: row.get(0)?,
                machine: row.get(1)?,
                process: row.get(2)?,
                version: row.get(3)?,
                figures,
            },
            state: row.get(4)?,
            state_by: row.get(5)?,
            registered_at_ns: row.get(6)?,
            beat_at_ns: row.get(7)?,
            ended_at_ns: row.get(8)?,
            clock_ahead_ms: row.get(12)?,
        })
    }

    fn host(self, clock: DatabaseClock) -> Result<Host, StoreError> {
        let since_beat_ns = clock.now_ns.saturating_sub(self.beat_at_ns).max(0);
        Ok(Host {
            registered: self.registered,
            state: self.state.parse().map_err(|error: String| corrupt("the state of a host", &error))?,
            state_by: self.state_by,
            registered_at: timestamp(self.registered_at_ns)?,
            beat_at: timestamp(self.beat_at_ns)?,
            since_beat: Duration::from_nanos(since_beat_ns.unsigned_abs()),
            ended_at: self.ended_at_ns.map(timestamp).transpose()?,
            clock_ahead_ms: self.clock_ahead_ms,
        })
    }
}
