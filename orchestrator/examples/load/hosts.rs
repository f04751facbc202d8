//! Many hosts with one PostgreSQL, and one host with SQLite: how fast jobs are claimed, and what that costs.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use farmctl::store::postgres::ServerAccess;
use farmctl::store::{Store, is_server, open_at};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use testlab::PostgresServer;

use super::figures::{self, ClaimTime, Claims, family_cpu_seconds, quantile, steady, sustained_a_second};
use super::lab::Lab;
use super::work::Host;
use super::{Size, Trouble};

const DATABASE: &str = "lab";
/// How long hosts may take to end their runs once no more are begun.
const ENDING: Duration = Duration::from_secs(120);
/// testlab's server has no autovacuum: it is done as often as a usual server looks whether it is due.
const VACUUM_INTERVAL: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
const MODELS: usize = 10;

/// What a process that is one host is told.
#[derive(Debug, Args)]
pub struct OneHost {
    #[command(flatten)]
    size: Size,
    #[arg(long)]
    hosts: usize,
    #[arg(long)]
    number: usize,
    #[arg(long)]
    seconds: u64,
    #[arg(long)]
    store: String,
}

/// What it says at its end.
#[derive(Debug, Default, Serialize, Deserialize)]
struct HostFigures {
    claims: Vec<ClaimTime>,
    cpu_seconds: f64,
    peak_megabytes: f64,
}

/// What all hosts of a side did.
struct Side {
    name: String,
    claims: Vec<ClaimTime>,
    host_cpu_seconds: f64,
    peak_megabytes: f64,
    /// Of a server.
    database_cpu_seconds: Option<f64>,
    wall_seconds: f64,
    counts: Counts,
}

/// What became of the jobs.
#[derive(Debug, Default)]
struct Counts {
    jobs: usize,
    recorded: usize,
    not_begun: usize,
    lost: usize,
    twice: usize,
}

/// Measures both sides, and prints them beside each other.
pub fn measure(size: Size, hosts: usize, seconds: u64, store: &str) -> Result<(), Trouble> {
    let mut sides = Vec::new();
    if store != "sqlite" {
        let server = PostgresServer::start()?;
        let url = server.create(DATABASE)?;
        sides.push(side(size, hosts, seconds, &url, Some(&server))?);
    }
    if store != "postgres" {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("state.db");
        sides.push(side(size, 1, seconds, &path.to_string_lossy(), None)?);
    }
    print(&sides);
    let bad = sides.iter().find(|side| side.counts.lost + side.counts.twice > 0);
    bad.map_or(Ok(()), |side| Err(format!("{}: {:?}", side.name, side.counts).into()))
}

/// One of the hosts; prints what it measured.
pub fn be_host(host: &OneHost) -> Result<(), Trouble> {
    let claims = Claims::listen()?;
    let lab = Lab::new(host.size, MODELS)?;
    let store = open(&host.store)?;
    let sweep = store.sweeps()?.into_iter().next().ok_or("the store has no sweep")?;
    let (devices, number) = (host.size.devices, host.number);
    let worker = Host {
        name: format!("bench:{number}"),
        store,
        clock: Arc::new(Timestamp::now),
        is_shared: is_server(&host.store),
        reaches: devices * number / host.hosts..devices * (number + 1) / host.hosts,
        begins_for: Duration::from_secs(host.seconds),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(worker.carry_out(&lab, &sweep, &Arc::default()))?;
    let figures = HostFigures {
        claims: claims.all(),
        cpu_seconds: figures::own_cpu_seconds()?,
        peak_megabytes: figures::own_peak_megabytes()?,
    };
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

fn open(store: &str) -> Result<Arc<dyn Store>, Trouble> {
    let user = "farmctl".to_owned();
    let access = ServerAccess { variable: Arc::new(|_| None), home: None, user, trust: Default::default() };
    Ok(open_at(store, &access)?)
}

fn side(
    size: Size,
    hosts: usize,
    seconds: u64,
    address: &str,
    server: Option<&PostgresServer>,
) -> Result<Side, Trouble> {
    let store = open(address)?;
    let sweep = Lab::new(size, MODELS)?.add_sweep(store.as_ref(), Timestamp::now())?;
    let postmaster = server.map(postmaster).transpose()?;
    if let Some(server) = server {
        server.run_sql(DATABASE, "VACUUM ANALYZE")?;
    }
    let used = || postmaster.map(family_cpu_seconds);
    let (used_before, began) = (used(), Instant::now());
    let folder = tempfile::tempdir()?;
    let mut running = Running(Vec::new());
    for number in 0..hosts {
        running.0.push(start(size, hosts, number, seconds, address, folder.path())?);
    }
    running.wait(Duration::from_secs(seconds) + ENDING, server)?;
    let wall_seconds = began.elapsed().as_secs_f64();
    let database_cpu_seconds = used().zip(used_before).map(|(after, before)| after - before);
    let (mut claims, mut host_cpu_seconds, mut peak_megabytes) = (Vec::new(), 0.0, 0.0_f64);
    for number in 0..hosts {
        let said = std::fs::read_to_string(folder.path().join(number.to_string()))?;
        let of_host: HostFigures = serde_json::from_str(&said)?;
        claims.extend(of_host.claims);
        host_cpu_seconds += of_host.cpu_seconds;
        peak_megabytes = peak_megabytes.max(of_host.peak_megabytes);
    }
    let kind = if server.is_some() { "PostgreSQL" } else { "SQLite" };
    let name = format!("{kind}, {hosts} {}", if hosts == 1 { "host" } else { "hosts" });
    let counts = Counts::of(store.as_ref(), &sweep.id)?;
    Ok(Side { name, claims, host_cpu_seconds, peak_megabytes, database_cpu_seconds, wall_seconds, counts })
}

fn start(
    size: Size,
    hosts: usize,
    number: usize,
    seconds: u64,
    address: &str,
    folder: &Path,
) -> Result<Child, Trouble> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("host").args(["--store", address]);
    let numbers = [("--devices", size.devices), ("--jobs", size.jobs), ("--hosts", hosts), ("--number", number)];
    for (name, number) in numbers {
        command.args([name, &number.to_string()]);
    }
    command.args(["--seconds", &seconds.to_string()]);
    // A pipe would be full before anybody reads it.
    let output = File::create(folder.join(number.to_string()))?;
    Ok(command.stdin(Stdio::null()).stdout(output).spawn()?)
}

/// Hosts that end with this one.
struct Running(Vec<Child>);

impl Running {
    fn wait(&mut self, limit: Duration, server: Option<&PostgresServer>) -> Result<(), Trouble> {
        let give_up_at = Instant::now() + limit;
        let mut vacuum_at = Instant::now() + VACUUM_INTERVAL;
        loop {
            let mut is_over = true;
            for child in &mut self.0 {
                match child.try_wait()? {
                    Some(status) if !status.success() => return Err(format!("a host failed: {status}").into()),
                    Some(_) => {}
                    None => is_over = false,
                }
            }
            if is_over {
                return Ok(());
            }
            if Instant::now() > give_up_at {
                return Err(format!("a host did not end within {} s", limit.as_secs()).into());
            }
            if let Some(server) = server.filter(|_| Instant::now() > vacuum_at) {
                server.run_sql(DATABASE, "VACUUM ANALYZE")?;
                vacuum_at = Instant::now() + VACUUM_INTERVAL;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Those that have ended say so, and that is well.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The server's first process: its number is the first line of this file.
fn postmaster(server: &PostgresServer) -> Result<u32, Trouble> {
    let number = server.run_sql(DATABASE, "SELECT split_part(pg_read_file('postmaster.pid'), chr(10), 1)")?;
    Ok(number.trim().parse()?)
}

impl Counts {
    fn of(store: &dyn Store, sweep: &farmctl::domain::SweepId) -> Result<Counts, Trouble> {
        let mut records: BTreeMap<String, usize> = BTreeMap::new();
        for record in store.records(sweep)? {
            *records.entry(record.job.id.0).or_default() += 1;
        }
        let jobs = store.jobs(sweep)?.len();
        let not_begun = store.open_jobs(sweep, None)?.len();
        let twice = records.values().filter(|count| **count > 1).count();
        Ok(Counts {
            jobs,
            recorded: records.len(),
            not_begun,
            lost: jobs.saturating_sub(records.len() + not_begun),
            twice,
        })
    }
}

/// A line of the table.
type Line = (&'static str, fn(&Side) -> String);

const LINES: [Line; 11] = [
    ("jobs; recorded; not begun when time was up", |side| {
        format!("{}; {}; {}", side.counts.jobs, side.counts.recorded, side.counts.not_begun)
    }),
    ("jobs lost; recorded twice", |side| format!("{}; {}", side.counts.lost, side.counts.twice)),
    ("claims a second, sustained", |side| format!("{:.1}", sustained_a_second(&side.claims))),
    ("claim, p50, ms", |side| format!("{:.1}", milliseconds(&side.claims, 500))),
    ("claim, p99, ms", |side| format!("{:.1}", milliseconds(&side.claims, 990))),
    ("claim, p99 without the first and the last tenth, ms", |side| {
        format!("{:.1}", milliseconds(&steady(&side.claims), 990))
    }),
    ("claim, longest, ms", |side| format!("{:.1}", milliseconds(&side.claims, 1000))),
    ("database, processor seconds a second", |side| {
        side.database_cpu_seconds.map_or("in the host".to_owned(), |used| format!("{:.2}", used / side.wall_seconds))
    }),
    ("database, processor ms a job", |side| {
        let jobs = side.counts.recorded.max(1) as f64;
        side.database_cpu_seconds.map_or("in the host".to_owned(), |used| format!("{:.1}", 1000.0 * used / jobs))
    }),
    ("all hosts, processor ms a job", |side| {
        format!("{:.1}", 1000.0 * side.host_cpu_seconds / side.counts.recorded.max(1) as f64)
    }),
    ("wall s; most memory of a host, MB", |side| format!("{:.0}; {:.0}", side.wall_seconds, side.peak_megabytes)),
];

/// Of these claims, the time that so many of a thousand did not take longer than.
fn milliseconds(claims: &[ClaimTime], per_mille: usize) -> f64 {
    let mut times: Vec<f64> = claims.iter().map(|claim| claim.took_us as f64 / 1000.0).collect();
    quantile(&mut times, per_mille)
}

fn print(sides: &[Side]) {
    let row = |first: &str, cells: Vec<String>| println!("| {first} | {} |", cells.join(" | "));
    row("", sides.iter().map(|side| side.name.clone()).collect());
    row("---", sides.iter().map(|_| "--:".to_owned()).collect());
    for (name, figure) in LINES {
        row(name, sides.iter().map(figure).collect());
    }
}
