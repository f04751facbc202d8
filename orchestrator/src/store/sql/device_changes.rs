use jiff::Timestamp;

use super::value::{Row, named_params, params};
use super::{Database, Outcome, SqlStore, corrupt, nanoseconds, timestamp};
use crate::domain::{DeviceChange, DeviceIdentity, OpenChange, Setting};
use crate::store::StoreError;

const ADD: &str = "
    INSERT INTO device_changes (identity, device, setting, previous, made_at_ns, holder)
    VALUES (:identity, :device, :setting, :previous, :made_at_ns, :holder)
    RETURNING number";

const OPEN: &str = "
    SELECT number, identity, device, setting, previous, made_at_ns, holder FROM device_changes
    WHERE undone_at_ns IS NULL AND (CAST(?1 AS TEXT) IS NULL OR identity = ?1)
    ORDER BY number";

const CLOSE: &str = "UPDATE device_changes SET undone_at_ns = ?2 WHERE number = ?1 AND undone_at_ns IS NULL";

impl<D: Database> SqlStore<D> {
    pub(super) fn add_changes(&self, changes: &[DeviceChange]) -> Result<Vec<OpenChange>, StoreError> {
        let numbers = self.transaction("write down changes of a device", |transaction| {
            let add = |change: &DeviceChange| {
                let values = named_params! {
                    ":identity": change.identity.0, ":device": change.device, ":setting": change.setting.as_str(),
                    ":previous": change.previous, ":made_at_ns": nanoseconds(change.made_at), ":holder": change.holder,
                };
                transaction.one(ADD, values, |row| row.get::<i64>(0))
            };
            changes.iter().map(add).collect::<Outcome<Vec<i64>>>()
        })?;
        let open = numbers.into_iter().zip(changes);
        Ok(open.map(|(number, change)| OpenChange { number: number.unsigned_abs(), change: change.clone() }).collect())
    }

    pub(super) fn open_changes(&self, identity: Option<&DeviceIdentity>) -> Result<Vec<OpenChange>, StoreError> {
        let identity = identity.map(|identity| identity.0.as_str());
        let rows = self.query("list changes of devices", OPEN, [identity], read)?;
        rows.into_iter().map(|row| row.open_change()).collect()
    }

    pub(super) fn close_changes(&self, numbers: &[u64], now: Timestamp) -> Result<(), StoreError> {
        self.transaction("mark changes of a device as undone", |transaction| {
            for number in numbers {
                // Numbers start at 1, so one that no column can hold matches none.
                transaction.execute(CLOSE, params![i64::try_from(*number).unwrap_or(-1), nanoseconds(now)])?;
            }
            Ok(())
        })
    }
}

/// A row as the database has it.
struct Stored {
    number: i64,
    texts: [String; 5],
    made_at_ns: i64,
}

fn read(row: &Row<'_>) -> Outcome<Stored> {
    let texts = [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(6)?];
    Ok(Stored { number: row.get(0)?, texts, made_at_ns: row.get(5)? })
}

impl Stored {
    fn open_change(self) -> Result<OpenChange, StoreError> {
        let [identity, device, setting, previous, holder] = self.texts;
        let setting: Setting = setting.parse().map_err(|error: String| corrupt("a change of a device", &error))?;
        let made_at = timestamp(self.made_at_ns)?;
        let change = DeviceChange { identity: DeviceIdentity(identity), device, setting, previous, made_at, holder };
        Ok(OpenChange { number: self.number.unsigned_abs(), change })
    }
}
