//! Takes out what the lab's rules do not keep, or shows what that would be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::domain::{Event, EventKind, SweepId, SweepRow};
use crate::publish::sweep_folder;
use crate::retention::{Item, Leaving, Retention, Rule, leaving};
use crate::store::{Store, StoreError};
use crate::wording::{event_sentence, many};

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

/// How far it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tidying {
    /// It is only said what would leave.
    Shown,
    /// Nothing leaves where that would be more than a share of the lab.
    Bounded,
    /// All of it leaves: a person says so.
    Confirmed,
}

impl Lab {
    /// Takes out what these rules do not keep, or only says what that is. Each thing that leaves is an event, and told;
    /// `by` is the person who has it done, where one does.
    ///
    /// # Errors
    /// When the clock is in doubt, or more than the share of the rules would leave: then nothing has left. When
    /// something can't be taken out; the rest stays until the next time.
    pub fn tidy(&self, retention: &Retention, how: Tidying, by: Option<String>) -> Result<Vec<Removal>, LabError> {
        let store = self.store()?;
        if how != Tidying::Shown {
            self.needs_clock("retention")?;
        }
        Tidy { lab: self, store: store.as_ref(), now: self.now(), how, by }.run(retention)
    }
}

impl Lab {
    /// Cuts what can be had again from the files that hosts share to the limit that lab.yaml has for it. What keeps
    /// that from being done is logged: there is another time.
    pub(super) fn trim_cache(&self) {
        let trim = || -> Result<(), LabError> {
            let most = self.lab_config()?.artifacts.and_then(|shared| shared.cache_bytes);
            if most.is_some() {
                let store = self.store()?;
                self.needs_clock("the limit of the cache")?;
                let (now, sweeps) = (self.now(), store.sweeps()?);
                let tidy = Tidy { lab: self, store: store.as_ref(), now, how: Tidying::Confirmed, by: None };
                tidy.artifacts(&sweeps, most)?;
            }
            Ok(())
        };
        if let Err(error) = trim() {
            tracing::warn!(%error, "the cache was not cut to its limit");
        }
    }
}

struct Tidy<'a> {
    lab: &'a Lab,
    store: &'a dyn Store,
    now: Timestamp,
    how: Tidying,
    /// Who has it done.
    by: Option<String>,
}

/// What leaves by rules of age, before any of it has left.
struct Due {
    sweeps: Vec<Leaving>,
    reports: Vec<Leaving>,
    /// Events that are older.
    events_before: Option<Timestamp>,
}

impl Tidy<'_> {
    /// Whether nothing leaves.
    fn is_dry(&self) -> bool {
        self.how == Tidying::Shown
    }

    fn run(&self, retention: &Retention) -> Result<Vec<Removal>, LabError> {
        let reports = self.lab.reports();
        let sweeps = self.store.sweeps()?;
        let due = self.due(retention, &sweeps)?;
        if !self.is_dry() {
            remove_left_overs(&reports)?;
        }
        let mut removals = self.sweeps(due.sweeps)?;
        removals.extend(self.reports(due.reports)?);
        removals.extend(self.events(due.events_before, retention.events_days)?);
        removals.extend(self.outputs()?);
        let of_cache = self.lab.lab_config()?.artifacts.and_then(|shared| shared.cache_bytes);
        let most = retention.artifacts_bytes.into_iter().chain(of_cache).min();
        removals.extend(self.artifacts(&sweeps, most)?);
        if !self.is_dry() {
            let latest = reports.join("latest");
            if latest.is_symlink() && !latest.exists() {
                std::fs::remove_file(&latest).map_err(|error| failed(&latest, error))?;
            }
            if !removals.is_empty() {
                match self.store.vacuum() {
                    // Another time, then.
                    Err(StoreError::Busy { .. } | StoreError::Full { .. }) => {}
                    // On a server another role's; rows that left make room for others all the same.
                    Err(StoreError::NotAllowed { .. }) => {}
                    vacuumed => drop(vacuumed?),
                }
            }
        }
        Ok(removals)
    }

    /// What leaves of sweeps, reports and events; refused where that is more than the share that may.
    fn due(&self, retention: &Retention, sweeps: &[SweepRow]) -> Result<Due, LabError> {
        let pinned: BTreeSet<SweepId> = self.store.pinned_sweeps()?.into_iter().map(|(sweep, _)| sweep).collect();
        let bytes: BTreeMap<SweepId, u64> = self.store.sweep_bytes()?.into_iter().collect();
        let folder = |sweep: &SweepRow| sweep_folder(&self.lab.reports(), sweep.id.as_str());
        let of_sweep = |sweep: &SweepRow| {
            let of_records = bytes.get(&sweep.id).copied().unwrap_or_default();
            item(sweep, &pinned, bytes_of(&folder(sweep)) + of_records)
        };
        let items: Vec<Item> = sweeps.iter().map(of_sweep).collect();
        let leaving_sweeps = leaving(&items, &retention.sweeps, self.now);
        let with_reports = sweeps.iter().filter(|sweep| folder(sweep).is_dir());
        let stays = |sweep: &&SweepRow| !leaving_sweeps.iter().any(|leaving| leaving.name == sweep.id.0);
        let all_reports = with_reports.clone().count();
        let items: Vec<Item> =
            with_reports.filter(stays).map(|sweep| item(sweep, &pinned, bytes_of(&folder(sweep)))).collect();
        let leaving_reports = leaving(&items, &retention.reports, self.now);
        let age = |days: u32| SignedDuration::from_hours(24 * i64::from(days));
        let before = |days: u32| self.now.checked_sub(age(days)).unwrap_or(Timestamp::MIN);
        let events_before = retention.events_days.map(before);
        if self.how != Tidying::Confirmed {
            let old_events = events_before.map_or(Ok(0), |before| self.store.old_events(before))?;
            let all_events = self.store.old_events(Timestamp::MAX)?;
            for (what, leaving, all) in [
                ("sweeps", leaving_sweeps.len() as u64, sweeps.len() as u64),
                ("folders of reports", leaving_reports.len() as u64, all_reports as u64),
                ("events", old_events, all_events),
            ] {
                self.hold_to_share(retention, what, leaving, all)?;
            }
        }
        Ok(Due { sweeps: leaving_sweeps, reports: leaving_reports, events_before })
    }

    /// Refuses what is more than the share that may leave at once; where nothing leaves, only says so.
    fn hold_to_share(&self, retention: &Retention, what: &str, leaving: u64, all: u64) -> Result<(), LabError> {
        if retention.may_leave(leaving, all) {
            return Ok(());
        }
        let most = retention.most_percent;
        let share = format!("{leaving} of {all} {what} would leave at once, more than {most} % (`most_percent`)");
        if !self.is_dry() {
            return Err(too_many(&share));
        }
        self.lab.remark(&format!("held back until `farmctl retention --yes`: {share}"));
        Ok(())
    }

    /// Sweeps that are over, with all that belongs to them.
    fn sweeps(&self, leaving: Vec<Leaving>) -> Result<Vec<Removal>, LabError> {
        let mut removals = Vec::new();
        for leaving in leaving {
            let id = SweepId(leaving.name.clone());
            if !self.is_dry() {
                // The reports first: those of a sweep that is still there can be written anew.
                let on_its_way = self.take_aside(&id)?;
                if !self.store.remove_sweep(&id)? {
                    continue;
                }
                on_its_way.map(|folder| remove(&folder)).transpose()?;
            }
            removals.push(self.removed("sweep", leaving)?);
        }
        Ok(removals)
    }

    /// Folders of reports of sweeps that stay.
    fn reports(&self, leaving: Vec<Leaving>) -> Result<Vec<Removal>, LabError> {
        let mut removals = Vec::new();
        for leaving in leaving {
            if !self.is_dry() {
                let on_its_way = self.take_aside(&SweepId(leaving.name.clone()))?;
                on_its_way.map(|folder| remove(&folder)).transpose()?;
                self.store.forget_report_files(&SweepId(leaving.name.clone()))?;
            }
            removals.push(self.removed("reports", leaving)?);
        }
        Ok(removals)
    }

    fn events(&self, before: Option<Timestamp>, days: Option<u32>) -> Result<Option<Removal>, LabError> {
        let Some((before, days)) = before.zip(days) else { return Ok(None) };
        let count =
            if self.is_dry() { self.store.old_events(before)? } else { self.store.remove_old_events(before)? };
        if count == 0 {
            return Ok(None);
        }
        let leaving = Leaving {
            name: format!("{count} of them"),
            bytes: 0,
            why: format!("older than {}", many(days.into(), "day")),
        };
        self.removed("events", leaving).map(Some)
    }

    /// Something has left, or would leave.
    fn removed(&self, kind: &'static str, leaving: Leaving) -> Result<Removal, LabError> {
        if !self.is_dry() {
            let Leaving { name, bytes, why } = leaving.clone();
            let kind = EventKind::Removed { kind: kind.to_owned(), name, bytes, why, by: self.by.clone() };
            let event = Event { at: self.now, sweep_id: None, device: None, job_id: None, run_id: None, kind };
            self.lab.remark(&event_sentence(&event).unwrap_or_default());
            self.store.append_event(&event)?;
        }
        Ok(Removal { kind, leaving })
    }

    /// Outputs that no record names any more.
    fn outputs(&self) -> Result<Vec<Removal>, LabError> {
        let named = self.store.outputs_named()?;
        let is_named = |name: &str| name.strip_suffix(".f32").is_none_or(|sha256| named.contains(sha256));
        let why = || "no record names it".to_owned();
        let mut removals = Vec::new();
        for FoundFile { path, name, metadata } in files(&self.lab.outputs())? {
            if !is_named(&name) && self.now.duration_since(last_used(&metadata)) > LATELY {
                self.remove_file(&path)?;
                let leaving = Leaving { name, bytes: metadata.len(), why: why() };
                removals.push(self.removed("output", leaving)?);
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
        let found: Vec<_> = files(&self.lab.artifacts())?.into_iter().filter(|file| by_hash(&file.name)).collect();
        let items: Vec<Item> = found
            .iter()
            .map(|file| Item {
                name: file.name.clone(),
                at: last_used(&file.metadata),
                bytes: file.metadata.len(),
                is_kept: false,
            })
            .collect();
        let rule = Rule { bytes: most, ..Rule::default() };
        let mut removals = Vec::new();
        for leaving in leaving(&items, &rule, self.now) {
            let Some(file) = found.iter().find(|file| file.name == leaving.name) else { continue };
            if self.now.duration_since(last_used(&file.metadata)) > LATELY {
                self.remove_file(&file.path)?;
                removals.push(self.removed("artifact", leaving)?);
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
        std::fs::rename(&folder, &aside).map_err(|error| failed(&folder, error))?;
        Ok(Some(aside))
    }

    fn remove_file(&self, path: &Path) -> Result<(), LabError> {
        if self.is_dry() { Ok(()) } else { std::fs::remove_file(path).map_err(|error| failed(path, error)) }
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

fn too_many(share: &str) -> LabError {
    let message = format!("{share}: nothing was taken out");
    let hint = "look at them with `farmctl retention --dry-run`; `farmctl retention --yes` takes them out";
    LabError::unavailable(message).with_hint(hint)
}

fn remove_left_overs(reports: &Path) -> Result<(), LabError> {
    let Ok(entries) = std::fs::read_dir(reports) else { return Ok(()) };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(REMOVING)) {
        remove(&entry.path())?;
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<(), LabError> {
    std::fs::remove_dir_all(folder).map_err(|error| failed(folder, error))
}

fn failed(path: &Path, error: std::io::Error) -> LabError {
    LabError::internal(format!("failed to take {} out: {error}", path.display())).caused_by(error)
}

struct FoundFile {
    path: PathBuf,
    name: String,
    metadata: Metadata,
}

/// The files right in a folder, by name; none where it is not there.
fn files(folder: &Path) -> Result<Vec<FoundFile>, LabError> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        // One that has just gone is none.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            found.push(FoundFile { path: entry.path(), name, metadata });
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

fn last_used(metadata: &Metadata) -> Timestamp {
    Timestamp::from_second(metadata.mtime().max(metadata.atime())).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn bytes_of(folder: &Path) -> u64 {
    files(folder).map(|files| files.iter().map(|file| file.metadata.len()).sum()).unwrap_or_default()
}
