//! Virtual phones, boards and faulty network paths, for tests and for trying farmctl out.
//!
//! Main types: [`Board`] (a real ssh server that belongs to one test), [`Phone`] (Android's adb daemon in a small world
//! of its own), [`EmulatedBoard`] (a whole machine), [`AdbServer`] (the host's side of adb), [`FaultProxy`] (a TCP
//! proxy that breaks on command), [`S3Server`] (an object store), [`PostgresServer`] (a database server of one's own),
//! [`Authority`] (certificates),
//! [`SmallDisk`] (a file system that gets full), [`Farm`] (several of them, with a farm file), [`LabHost`] (one of
//! several hosts of a lab). Everything lives in
//! folders, networks and on ports of its own, and goes when its value is dropped or its process ends, however that
//! comes.
//!
//! Needs these Debian packages: see [`PACKAGES`]. Never uses the servers or keys of the host.

mod adb_front;
mod adb_server;
mod black_hole;
mod board;
mod board_layout;
mod certificates;
mod closed_port;
mod control;
mod debian;
mod emulated_board;
mod error;
mod farm;
mod farm_file;
mod folder;
mod hosts;
mod keys;
mod phone;
mod postgres;
mod process;
mod proxy;
mod s3_server;
mod small_disk;

pub use adb_front::{AdbFront, FrontName};
pub use adb_server::AdbServer;
pub use black_hole::BlackHole;
pub use board::{Board, BoardOptions, Server};
pub use certificates::{Authority, Certificate};
pub use closed_port::ClosedPort;
pub use control::{Fault, send, serve};
pub use emulated_board::EmulatedBoard;
pub use error::LabError;
pub use farm::{Farm, FarmOptions, LabDevice, Machine};
pub use hosts::{LabHost, Way};
pub use keys::{Agent, KeyPair};
pub use phone::{Phone, PhoneArch, PhoneOptions};
pub use postgres::{PostgresOptions, PostgresServer, PostgresTls};
pub use proxy::{Direction, FaultProxy};
pub use s3_server::S3Server;
pub use small_disk::SmallDisk;

/// Debian packages that hold the programs used here.
pub const PACKAGES: &[&str] = &[
    "openssh-server",
    "openssh-client",
    "dropbear-bin",
    "util-linux",
    "mount",
    "adb",
    "iproute2",
    "qemu-user-static",
    "qemu-system-arm",
    "busybox",
    "postgresql",
    "openssl",
];
