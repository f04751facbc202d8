//! The power goes: of what the store wrote, only what was synced is surely there. A child process writes through the
//! real store and acknowledges each record; its system calls are recorded, and replayed to every moment before a sync,
//! with what was not synced yet dropped, kept, or kept in part. Each such disk must hold all that was acknowledged.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::domain::RunStatus;
use crate::store::conformance::{at, claim, record, sweep};
use crate::store::sqlite::SqliteStore;
use crate::store::{MaintenanceStore as _, RunStore as _, SweepStore as _};

const RECORDS: usize = 24;
/// What survives of a write is sectors.
const SECTOR_BYTES: usize = 512;
/// Disks that are made of each moment: nothing unsynced, everything, and this many in between.
const IN_BETWEEN: u64 = 3;
/// In the child's folder: makes it the child, and takes its acknowledgements.
const ACKNOWLEDGED: &str = "acknowledged";

#[test]
#[ignore = "the child of the test below"]
fn child() {
    // Only in the folder that the test made for it.
    let mut acknowledged = std::fs::OpenOptions::new().append(true).open(ACKNOWLEDGED).unwrap();
    let store = SqliteStore::open(Path::new("state.db")).unwrap();
    let (row, _) = sweep(&store, "s", &["a"], RECORDS);
    for number in 0..RECORDS {
        let run = claim(&store, &row, "a", "host", 0);
        let record = record(&row.id, &run.job, Some((&run.run_id, run.attempt)), RunStatus::Ok);
        store.finish(run.epoch, &record, None, at(1)).unwrap();
        acknowledged.write_all(format!("{}\n", run.run_id).as_bytes()).unwrap();
        // SQLite does it by itself after megabytes.
        if number % 7 == 6 {
            let checkpoint = "PRAGMA wal_checkpoint(PASSIVE)";
            store.with_connection(|connection| connection.query_row(checkpoint, [], |_| Ok(()))).unwrap();
        }
    }
}

#[test]
fn no_acknowledged_record_is_lost_with_the_power() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(ACKNOWLEDGED), "").unwrap();
    let log = tempfile::NamedTempFile::new().unwrap();
    let calls = "trace=openat,close,pwrite64,write,ftruncate,fsync,fdatasync,unlink,unlinkat,rename,renameat,\
                 fallocate,pwritev,writev";
    let traced = Command::new("strace")
        .args(["-f", "-xx", "-s", "1000000", "-e", calls, "-o"])
        .arg(log.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "store::sqlite::tests::power_loss::child", "--ignored", "--test-threads=1"])
        .current_dir(folder.path())
        .output()
        .unwrap_or_else(|error| panic!("can't start strace: {error} (Debian package strace)"));
    assert!(traced.status.success(), "{}", String::from_utf8_lossy(&traced.stderr));
    let mut disk = Disk::new(folder.path());
    let (mut disks, mut syncs) = (0, 0);
    for call in std::fs::read_to_string(log.path()).unwrap().lines().filter_map(Call::parse) {
        if call.is_sync() && disk.is_ours(&call) {
            syncs += 1;
            disks += assert_survives(&disk, syncs);
        }
        disk.take(&call);
    }
    assert_eq!(disk.acknowledged.len(), RECORDS, "all were acknowledged");
    disks += assert_survives(&disk, syncs + 1);
    assert!(syncs >= 2 * RECORDS as u64 && disks > 4 * RECORDS, "{syncs} syncs, {disks} disks");
}

/// Opens every disk that a power cut at this moment can leave.
fn assert_survives(disk: &Disk, moment: u64) -> usize {
    let mut seen = 0;
    for variant in 0..IN_BETWEEN + 2 {
        let mut chance = match variant {
            0 => Chance::Never,
            1 => Chance::Always,
            seed => Chance::Seeded((moment << 8) + seed),
        };
        let folder = tempfile::tempdir().unwrap();
        disk.write_left(folder.path(), &mut chance);
        let told = format!("power lost before sync {moment}, variant {variant}");
        let store =
            SqliteStore::open(&folder.path().join("state.db")).unwrap_or_else(|error| panic!("{told}: {error}"));
        let faults = store.check().unwrap_or_else(|error| panic!("{told}: {error}")).faults;
        assert_eq!(faults, Vec::<String>::new(), "{told}");
        let sweeps = store.sweeps().unwrap();
        let records = sweeps.first().map(|sweep| store.records(&sweep.id).unwrap()).unwrap_or_default();
        let there: Vec<String> = records.into_iter().filter_map(|record| record.run_id).map(|run| run.0).collect();
        for run in &disk.acknowledged {
            assert!(there.contains(run), "{told}: the record of {run} was acknowledged and is lost");
        }
        seen += 1;
        if disk.is_synced() {
            break;
        }
    }
    seen
}

/// What becomes of a write that was not synced.
enum Chance {
    Never,
    Always,
    Seeded(u64),
}

impl Chance {
    fn survives(&mut self) -> bool {
        match self {
            Chance::Never => false,
            Chance::Always => true,
            Chance::Seeded(state) => {
                // SplitMix64.
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 63 == 1
            }
        }
    }
}

/// A file's content as the disk has it, and what was done to it since.
#[derive(Default)]
struct File {
    synced: Vec<u8>,
    pending: Vec<Change>,
}

enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

/// What a descriptor stands for.
#[derive(Clone, Copy)]
enum Open {
    File(usize),
    Folder,
    Acknowledged,
}

/// A folder of the file system between the program and the power.
struct Disk {
    folder: String,
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    /// Names that came and went since the folder was synced, in their order, which a journal keeps.
    pending_names: Vec<(String, Option<usize>)>,
    open: HashMap<i64, Open>,
    acknowledged: Vec<String>,
}

impl Disk {
    fn new(folder: &Path) -> Disk {
        let folder = folder.to_str().unwrap().to_owned();
        let (files, names, pending_names) = (Vec::new(), BTreeMap::new(), Vec::new());
        Disk { folder, files, names, pending_names, open: HashMap::new(), acknowledged: Vec::new() }
    }

    fn is_ours(&self, call: &Call) -> bool {
        matches!(self.open.get(&call.number(0)), Some(Open::File(_) | Open::Folder))
    }

    fn is_synced(&self) -> bool {
        self.pending_names.is_empty() && self.files.iter().all(|file| file.pending.is_empty())
    }

    /// The name in the folder that a path has; none for other places, for the index of the log, which SQLite makes anew
    /// after a crash, and for the mark, which is only good while the host runs.
    fn name(&self, path: &str) -> Option<String> {
        let name = path.strip_prefix(&self.folder).map_or(path, |rest| rest.trim_start_matches('/'));
        let is_made_anew = name.ends_with("-shm") || name.ends_with("-open");
        (!name.contains('/') && !name.is_empty() && !is_made_anew).then(|| name.to_owned())
    }

    fn current(&self, name: &str) -> Option<usize> {
        let last = self.pending_names.iter().rev().find(|(pending, _)| pending == name);
        last.map_or_else(|| self.names.get(name).copied(), |(_, file)| *file)
    }

    fn take(&mut self, call: &Call) {
        let file = match self.open.get(&call.number(0)) {
            Some(Open::File(index)) => Some(*index),
            _ => None,
        };
        match (call.name.as_str(), file) {
            ("openat", _) => self.open_file(call),
            ("close", _) => drop(self.open.remove(&call.number(0))),
            ("write", _) if matches!(self.open.get(&call.number(0)), Some(Open::Acknowledged)) => {
                let line = String::from_utf8(call.bytes(1)).unwrap();
                self.acknowledged.push(line.trim_end().to_owned());
            }
            ("pwrite64", Some(index)) => {
                let mut bytes = call.bytes(1);
                bytes.truncate(usize::try_from(call.result).unwrap());
                let offset = usize::try_from(call.number(3)).unwrap();
                self.files[index].pending.push(Change::Write(offset, bytes));
            }
            ("ftruncate", Some(index)) => {
                self.files[index].pending.push(Change::Length(usize::try_from(call.number(1)).unwrap()));
            }
            ("fsync" | "fdatasync", Some(index)) => {
                let file = &mut self.files[index];
                for change in std::mem::take(&mut file.pending) {
                    change.apply(&mut file.synced, &mut Chance::Always);
                }
            }
            ("fsync" | "fdatasync", None) if matches!(self.open.get(&call.number(0)), Some(Open::Folder)) => {
                for (name, file) in std::mem::take(&mut self.pending_names) {
                    set(&mut self.names, name, file);
                }
            }
            ("unlink", _) => {
                if let Some(name) = self.name(&call.text(0)).filter(|name| self.current(name).is_some()) {
                    self.pending_names.push((name, None));
                }
            }
            (name, Some(_)) => panic!("this model knows no {name}"),
            _ => {}
        }
    }

    fn open_file(&mut self, call: &Call) {
        let path = call.text(1);
        if path == self.folder || path == "." {
            self.open.insert(call.result, Open::Folder);
        } else if path == ACKNOWLEDGED {
            self.open.insert(call.result, Open::Acknowledged);
        } else if let Some(name) = self.name(&path) {
            let index = self.current(&name).unwrap_or_else(|| {
                self.files.push(File::default());
                self.pending_names.push((name, Some(self.files.len() - 1)));
                self.files.len() - 1
            });
            self.open.insert(call.result, Open::File(index));
        }
    }

    /// Writes the folder that a power cut leaves now.
    fn write_left(&self, to: &Path, chance: &mut Chance) {
        let mut names = self.names.clone();
        for (name, file) in &self.pending_names {
            if !chance.survives() {
                break;
            }
            set(&mut names, name.clone(), *file);
        }
        for (name, index) in names {
            let file = &self.files[index];
            let mut content = file.synced.clone();
            for change in &file.pending {
                change.apply(&mut content, chance);
            }
            std::fs::write(to.join(name), content).unwrap();
        }
    }
}

fn set(names: &mut BTreeMap<String, usize>, name: String, file: Option<usize>) {
    match file {
        Some(index) => drop(names.insert(name, index)),
        None => drop(names.remove(&name)),
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>, chance: &mut Chance) {
        match self {
            Change::Length(length) if chance.survives() => content.resize(*length, 0),
            Change::Length(_) => {}
            Change::Write(offset, bytes) => {
                for (index, sector) in bytes.chunks(SECTOR_BYTES).enumerate().filter(|_| chance.survives()) {
                    let from = offset + index * SECTOR_BYTES;
                    content.resize(content.len().max(from + sector.len()), 0);
                    content[from..from + sector.len()].copy_from_slice(sector);
                }
            }
        }
    }
}

/// A system call that succeeded.
struct Call {
    name: String,
    arguments: Vec<String>,
    result: i64,
}

impl Call {
    /// Reads a line such as `123 pwrite64(3, "\x00\x01", 2, 0) = 2`.
    fn parse(line: &str) -> Option<Call> {
        assert!(!line.contains("<unfinished"), "the child has one thread that writes: {line}");
        let (_, call) = line.split_once(' ')?;
        let (name, rest) = call.trim_start().split_once('(')?;
        let (arguments, result) = rest.rsplit_once(") = ").or_else(|| rest.rsplit_once("= "))?;
        let result = result.split_whitespace().next()?.parse().ok().filter(|result| *result >= 0)?;
        // No text has a comma: each of its bytes stands as `\x..`.
        let arguments = arguments.trim_end().trim_end_matches(')').split(", ").map(str::to_owned).collect();
        Some(Call { name: name.to_owned(), arguments, result })
    }

    fn is_sync(&self) -> bool {
        matches!(self.name.as_str(), "fsync" | "fdatasync")
    }

    fn number(&self, index: usize) -> i64 {
        self.arguments.get(index).and_then(|argument| argument.parse().ok()).unwrap_or(-1)
    }

    fn bytes(&self, index: usize) -> Vec<u8> {
        let text = self.arguments[index].trim_matches('"');
        assert!(!text.ends_with("..."), "strace cut a write short");
        text.split("\\x").skip(1).map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
    }

    fn text(&self, index: usize) -> String {
        String::from_utf8(self.bytes(index)).unwrap()
    }
}
