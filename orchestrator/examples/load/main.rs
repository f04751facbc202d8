//! Measures a lab under load, with simulated devices and everything else real: the agent, the leases, the store.
//! `bench/hosts` and `bench/scale` call it:
//!
//!     cargo run --package farmctl --example load -- hosts --hosts 10 --devices 500 --jobs 20000
//!
//! The devices are those of the simulation (`orchestrator/tests/simulation`): a run of theirs takes 0.5 to 12.8 s.
#![allow(missing_docs)]

#[path = "../../tests/simulation/chance.rs"]
#[allow(dead_code)]
mod chance;
#[path = "../../tests/simulation/device.rs"]
#[allow(dead_code, clippy::unwrap_used)]
mod device;
mod figures;
mod hosts;
mod lab;
#[path = "../../tests/simulation/run.rs"]
#[allow(dead_code, clippy::unwrap_used)]
mod run;
mod scale;
#[path = "../../tests/simulation/transport.rs"]
#[allow(dead_code, clippy::unwrap_used)]
mod transport;
mod work;
#[path = "../../tests/simulation/world.rs"]
#[allow(dead_code, clippy::unwrap_used)]
mod world;

use clap::{Args, Parser, Subcommand};

/// What goes wrong, for `main`.
pub type Trouble = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(about = "Measures a lab under load, with simulated devices")]
struct Words {
    #[command(subcommand)]
    what: What,
}

/// How large the lab is.
#[derive(Debug, Clone, Copy, Args)]
pub struct Size {
    #[arg(long, default_value_t = 500)]
    devices: usize,
    /// Of all devices together; each has as many.
    #[arg(long, default_value_t = 20_000)]
    jobs: usize,
}

#[derive(Subcommand)]
enum What {
    /// Many hosts with PostgreSQL, then one with SQLite.
    Hosts {
        #[command(flatten)]
        size: Size,
        #[arg(long, default_value_t = 10)]
        hosts: usize,
        /// After so many seconds no host of a side begins another run.
        #[arg(long, default_value_t = 150)]
        seconds: u64,
        /// One of `postgres`, `sqlite`, `both`.
        #[arg(long, default_value = "both")]
        store: String,
    },
    /// One of these hosts; a process of its own.
    Host(hosts::OneHost),
    /// One host with so many devices under virtual time.
    Scale {
        #[command(flatten)]
        size: Size,
    },
    /// One host with so many devices, as time goes.
    Room {
        #[command(flatten)]
        size: Size,
        /// After so many seconds no more runs are begun.
        #[arg(long, default_value_t = 120)]
        seconds: u64,
        /// Most threads that wait for the disk; farmctl has as many as tokio has.
        #[arg(long, default_value_t = 512)]
        blocking_threads: usize,
    },
}

fn main() -> Result<(), Trouble> {
    match Words::parse().what {
        What::Hosts { size, hosts, seconds, store } => hosts::measure(size, hosts, seconds, &store),
        What::Host(host) => hosts::be_host(&host),
        What::Scale { size } => scale::virtual_time(size),
        What::Room { size, seconds, blocking_threads } => scale::real_time(size, seconds, blocking_threads),
    }
}
