//! Every transport: what all do alike, and what each meets on its own way.

mod adb;
mod adb_names;
mod adb_server;
mod conformance;
mod ssh;
mod ssh_as_ssh;
mod ssh_broken;
mod ssh_configuration;
mod suite;
mod support;
