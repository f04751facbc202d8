//! One host with very many devices: how close to the least possible a sweep is, and what the host needs for it.

use std::sync::Arc;
use std::time::Duration;

use farmctl::store::Store;
use farmctl::store::sqlite::SqliteStore;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::figures::{own_cpu_seconds, own_peak_megabytes, own_status, quantile};
use super::lab::Lab;
use super::work::Host;
use super::world::World;
use super::{Size, Trouble};

/// When virtual time begins.
const BEGAN: Timestamp = Timestamp::constant(1_800_000_000, 0);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// All devices at one host under virtual time: nobody waits for a processor, so what is left is the agent's own order.
/// The store is a file, as a lab's is: SQLite looks through all of its memory where a large one is only there. Let it
/// lie on a disk in memory (`TMPDIR`): virtual time stands still while a real disk works.
///
/// No sweep can be shorter than its slowest device: the first connection, the files, and its runs, one after the
/// other.
pub fn virtual_time(size: Size) -> Result<(), Trouble> {
    // One network: it lies on the device before the first run, so nothing of its push could be hidden by a run.
    let lab = Lab::new(size, 1)?;
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .max_blocking_threads(1)
        .build()?;
    let world = Arc::new(World::default());
    let (makespan, cpu_seconds, jobs) = runtime.block_on(async {
        let began = Instant::now();
        let clock = Arc::new(move || BEGAN + SignedDuration::try_from(began.elapsed()).unwrap_or_default());
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("state.db"))?);
        let sweep = lab.add_sweep(store.as_ref(), BEGAN)?;
        let own = Arc::clone(&store);
        let reaches = 0..size.devices;
        let host =
            Host { name: "bench:0".to_owned(), store: own, clock, is_shared: false, reaches, begins_for: LONGEST };
        let used_before = own_cpu_seconds()?;
        host.carry_out(&lab, &sweep, &world).await?;
        let used = own_cpu_seconds()? - used_before;
        let records = store.records(&sweep.id)?;
        let last = records.iter().map(|record| record.finished_at).max().ok_or("there is no record")?;
        Ok::<_, Trouble>((last.duration_since(BEGAN).as_secs_f64(), used, records.len()))
    })?;
    let bound = world.longest().as_secs_f64();
    println!("| devices | jobs | makespan, s | lower bound, s | ratio | processor ms a job | peak, MB |");
    println!("|--:|--:|--:|--:|--:|--:|--:|");
    println!(
        "| {} | {jobs} | {makespan:.1} | {bound:.1} | {:.3} | {:.1} | {:.0} |",
        size.devices,
        makespan / bound,
        1000.0 * cpu_seconds / jobs.max(1) as f64,
        own_peak_megabytes()?
    );
    Ok(())
}

/// All devices at one host, as time goes, with a store on disk.
pub fn real_time(size: Size, seconds: u64, blocking_threads: usize) -> Result<(), Trouble> {
    let lab = Lab::new(size, 10)?;
    let folder = tempfile::tempdir()?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("state.db"))?);
    let sweep = lab.add_sweep(store.as_ref(), Timestamp::now())?;
    let host = Host {
        name: "bench:0".to_owned(),
        store: Arc::clone(&store),
        clock: Arc::new(Timestamp::now),
        is_shared: false,
        reaches: 0..size.devices,
        begins_for: Duration::from_secs(seconds),
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(blocking_threads).build()?;
    let (used_before, began) = (own_cpu_seconds()?, std::time::Instant::now());
    let (first, threads) = runtime.block_on(async {
        let world = Arc::default();
        let work = host.carry_out(&lab, &sweep, &world);
        tokio::pin!(work);
        let mut most = 0;
        loop {
            tokio::select! {
                first = &mut work => return Ok::<_, Trouble>((first?, most)),
                () = tokio::time::sleep(Duration::from_millis(200)) => most = most.max(own_status("Threads")?),
            }
        }
    })?;
    let (used, wall) = (own_cpu_seconds()? - used_before, began.elapsed().as_secs_f64());
    // Those of the records are read last: they would be the most memory.
    let peak = own_peak_megabytes()?;
    let recorded = store.records(&sweep.id)?.len();
    let mut first: Vec<f64> = first.iter().map(Duration::as_secs_f64).collect();
    println!("| what | |\n|---|--:|");
    println!("| devices; with a result; jobs recorded | {}; {}; {recorded} |", size.devices, first.len());
    println!("| threads, most | {threads} |");
    println!("| peak memory, MB | {peak:.0} |");
    println!(
        "| first result of a device, s: p50; last | {:.1}; {:.1} |",
        quantile(&mut first, 500),
        quantile(&mut first, 1000)
    );
    println!(
        "| processor seconds a second; ms a job | {:.2}; {:.1} |",
        used / wall,
        1000.0 * used / recorded.max(1) as f64
    );
    println!("| wall, s | {wall:.0} |");
    Ok(())
}
