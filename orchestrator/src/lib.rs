//! farmctl: a remote device-farm orchestrator for on-device AI benchmarks.
//!
//! The modules, in reading order, are described in `ARCHITECTURE.md`; each says in its first lines what it is for, what
//! its main type is, and what it never does.

pub mod agent;
pub mod api;
pub mod artifacts;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod compare;
pub mod config;
pub mod daemon;
pub mod device;
pub mod domain;
pub mod environment;
pub mod inventory;
pub mod lab;
pub mod lease;
pub mod notify;
pub mod planner;
pub mod progress;
pub mod publish;
pub mod regular_file;
pub mod report;
pub mod retention;
pub mod runners;
pub mod schedule;
pub mod score;
pub mod secret;
pub mod status;
pub mod store;
pub mod terminal;
pub mod tls;
pub mod transport;
pub mod wording;
