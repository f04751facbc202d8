//! Takes out what the lab's rules do not keep, or shows what that would be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::domain::{SweepId, SweepRow};
use crate::publish::sweep_folder;
use crate::retention::{Item, Leaving, Retention, Rule, leaving};
use crate::store::{Store, StoreError};

use super::{Lab, LabError};

/// Begins the name of a folder that is on its way out; one that a crash left is taken out the next time.
const REMOVING: &str = ".removing-";
/// Files that were made or used so lately stay: a process may be about to name them.
const LATELY: SignedDuration = SignedDuration::from_hours(24);

/// Something that leaves.
#[derive(Debug, Serialize)]
pub struct Removal {
    /// What kind of thing.
    pub kind: &'static str,
    /// What it is, and why.
    #[serde(flatten)]
    pub leaving: Leaving,
}

impl Removal {
    /// What left, in a line.
    pub fn summary(removals: &[Removal], dry_run: bool) -> String {
        let bytes: u64 = removals.iter().map(|removal| removal.leaving.bytes).sum();
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for removal in removals {
            *kinds.entry(removal.kind).or_default() += 1;
        }
        if kinds.is_empty() {
            return "nothing leaves: the rules keep all there is".to_owned();
        }
        let kinds: Vec<String> = kinds.into_iter().map(|(kind, count)| format!("{count} × {kind}")).collect();
        let word = if dry_run { "would leave" } else { "left" };
        format!("{} {word}, {:.1} MB", kinds.join(", "), bytes as f64 / 1e6)
    }
}

impl Lab {
    /// Takes out what these rules do not keep; with `dry_run`, only says what that is.
    ///
    /// # Errors
    /// When something can't be taken out; the rest stays until the next time.
    pub fn tidy(&self, retention: &Retention, dry_run: bool) -> Result<Vec<Removal>, LabError> {
        let store = self.store()?;
        Tidy { lab: self, store: store.as_ref(), now: Timestamp::now(), dry_run }.run(retention)
    }
}

struct Tidy<'a> {
    lab: &'a Lab,
    store: &'a dyn Store,
    now: Timestamp,
    dry_run: bool,
}

impl Tidy<'_> {
    fn run(&self, retention: &Retention) -> Result<Vec<Removal>, LabError> {
        let reports = self.lab.reports();
        if !self.dry_run {
            remove_left_overs(&reports)?;
        }
        let pinned: BTreeSet<SweepId> = self.store.pinned_sweeps()?.into_iter().map(|(sweep, _)| sweep).collect();
        let sweeps = self.store.sweeps()?;
        let mut removals = self.sweeps(&sweeps, &pinned, &retention.sweeps)?;
        removals.extend(self.reports(&sweeps, &pinned, &removals, &retention.reports)?);
        removals.extend(self.events(retention.events_days)?);
        removals.extend(self.outputs()?);
        removals.extend(self.artifacts(&sweeps, retention.artifacts_bytes)?);
        if !self.dry_run {
            let latest = reports.join("latest");
            if latest.is_symlink() && !latest.exists() {
                std::fs::remove_file(&latest).map_err(|error| failed(&latest, &error))?;
            }
            if !removals.is_empty() {
                match self.store.vacuum() {
                    // Another time, then.
                    Err(StoreError::Busy { .. } | StoreError::Full { .. }) => {}
                    vacuumed => drop(vacuumed?),
                }
            }
        }
        Ok(removals)
    }

    /// Sweeps that are over, with all that belongs to them.
    fn sweeps(&self, sweeps: &[SweepRow], pinned: &BTreeSet<SweepId>, rule: &Rule) -> Result<Vec<Removal>, LabError> {
        let bytes: BTreeMap<SweepId, u64> = self.store.sweep_bytes()?.into_iter().collect();
        let items: Vec<Item> = sweeps
            .iter()
            .map(|sweep| {
                let of_reports = bytes_of(&sweep_folder(&self.lab.reports(), sweep.id.as_str()));
                item(sweep, pinned, of_reports + bytes.get(&sweep.id).copied().unwrap_or_default())
            })
            .collect();
        let mut removals = Vec::new();
        for leaving in leaving(&items, rule, self.now) {
            let id = SweepId(leaving.name.clone());
            if !self.dry_run {
                // The reports first: those of a sweep that is still there can be written anew.
                let on_its_way = self.take_aside(&id)?;
                if !self.store.remove_sweep(&id)? {
                    continue;
                }
                on_its_way.map(|folder| remove(&folder)).transpose()?;
            }
            removals.push(Removal { kind: "sweep", leaving });
        }
        Ok(removals)
    }

    /// Folders of reports of sweeps that stay.
    fn reports(
        &self,
        sweeps: &[SweepRow],
        pinned: &BTreeSet<SweepId>,
        gone: &[Removal],
        rule: &Rule,
    ) -> Result<Vec<Removal>, LabError> {
        let folder = |sweep: &SweepRow| sweep_folder(&self.lab.reports(), sweep.id.as_str());
        let stays = |sweep: &&SweepRow| !gone.iter().any(|removal| removal.leaving.name == sweep.id.0);
        let items: Vec<Item> = sweeps
            .iter()
            .filter(stays)
            .filter(|sweep| folder(sweep).is_dir())
            .map(|sweep| item(sweep, pinned, bytes_of(&folder(sweep))))
            .collect();
        let leaving = leaving(&items, rule, self.now);
        for leaving in leaving.iter().filter(|_| !self.dry_run) {
            let on_its_way = self.take_aside(&SweepId(leaving.name.clone()))?;
            on_its_way.map(|folder| remove(&folder)).transpose()?;
        }
        Ok(leaving.into_iter().map(|leaving| Removal { kind: "reports", leaving }).collect())
    }

    fn events(&self, days: Option<u32>) -> Result<Option<Removal>, LabError> {
        let Some(days) = days else { return Ok(None) };
        let age = SignedDuration::from_hours(24 * i64::from(days));
        let before = self.now.checked_sub(age).unwrap_or(Timestamp::MIN);
        let count = if self.dry_run { self.store.old_events(before)? } else { self.store.remove_old_events(before)? };
        let why = format!("older than {days} days");
        let leaving = Leaving { name: format!("{count} of them"), bytes: 0, why };
        Ok((count > 0).then_some(Removal { kind: "events", leaving }))
    }

    /// Outputs that no record names any more.
    fn outputs(&self) -> Result<Vec<Removal>, LabError> {
        let named = self.store.outputs_named()?;
        let is_named = |name: &str| name.strip_suffix(".f32").is_none_or(|sha256| named.contains(sha256));
        let why = || "no record names it".to_owned();
        let mut removals = Vec::new();
        for (path, name, metadata) in files(&self.lab.outputs())? {
            if !is_named(&name) && self.now.duration_since(last_used(&metadata)) > LATELY {
                self.remove_file(&path)?;
                removals.push(Removal { kind: "output", leaving: Leaving { name, bytes: metadata.len(), why: why() } });
            }
        }
        Ok(removals)
    }

    /// Files that can be had again, the least recently used first; none while a sweep is open that may need them.
    fn artifacts(&self, sweeps: &[SweepRow], most: Option<u64>) -> Result<Vec<Removal>, LabError> {
        if most.is_none() || sweeps.iter().any(|sweep| !sweep.state.is_over()) {
            return Ok(Vec::new());
        }
        let by_hash = |name: &str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let found: Vec<_> = files(&self.lab.artifacts())?.into_iter().filter(|it| by_hash(&it.1)).collect();
        let items: Vec<Item> = found
            .iter()
            .map(|(_, name, metadata)| Item {
                name: name.clone(),
                at: last_used(metadata),
                bytes: metadata.len(),
                is_kept: false,
            })
            .collect();
        let rule = Rule { bytes: most, ..Rule::default() };
        let mut removals = Vec::new();
        for leaving in leaving(&items, &rule, self.now) {
            let Some((path, _, metadata)) = found.iter().find(|(_, name, _)| *name == leaving.name) else { continue };
            if self.now.duration_since(last_used(metadata)) > LATELY {
                self.remove_file(path)?;
                removals.push(Removal { kind: "artifact", leaving });
            }
        }
        Ok(removals)
    }

    /// Gives the folder of a sweep's reports a name that nobody looks for; `None` when there is none.
    fn take_aside(&self, sweep: &SweepId) -> Result<Option<PathBuf>, LabError> {
        let reports = self.lab.reports();
        let (folder, aside) = (sweep_folder(&reports, sweep.as_str()), reports.join(format!("{REMOVING}{sweep}")));
        if !folder.is_dir() {
            return Ok(None);
        }
        std::fs::rename(&folder, &aside).map_err(|error| failed(&folder, &error))?;
        Ok(Some(aside))
    }

    fn remove_file(&self, path: &Path) -> Result<(), LabError> {
        if self.dry_run { Ok(()) } else { std::fs::remove_file(path).map_err(|error| failed(path, &error)) }
    }
}

/// A sweep as the rules see it: one that is not over stays, and so does one that is pinned.
fn item(sweep: &SweepRow, pinned: &BTreeSet<SweepId>, bytes: u64) -> Item {
    Item {
        name: sweep.id.0.clone(),
        at: sweep.finished_at.unwrap_or(sweep.started_at),
        bytes,
        is_kept: !sweep.state.is_over() || pinned.contains(&sweep.id),
    }
}

fn remove_left_overs(reports: &Path) -> Result<(), LabError> {
    let Ok(entries) = std::fs::read_dir(reports) else { return Ok(()) };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(REMOVING)) {
        remove(&entry.path())?;
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<(), LabError> {
    std::fs::remove_dir_all(folder).map_err(|error| failed(folder, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> LabError {
    LabError::internal(format!("failed to take {} out: {error}", path.display()))
}

/// The files right in a folder; none where it is not there.
fn files(folder: &Path) -> Result<Vec<(PathBuf, String, Metadata)>, LabError> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        // One that has just gone is none.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() {
            found.push((entry.path(), entry.file_name().to_string_lossy().into_owned(), metadata));
        }
    }
    found.sort_by(|one, other| one.1.cmp(&other.1));
    Ok(found)
}

fn last_used(metadata: &Metadata) -> Timestamp {
    Timestamp::from_second(metadata.mtime().max(metadata.atime())).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn bytes_of(folder: &Path) -> u64 {
    files(folder).map(|files| files.iter().map(|(.., metadata)| metadata.len()).sum()).unwrap_or_default()
}
