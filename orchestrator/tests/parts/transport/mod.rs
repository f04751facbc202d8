//! Every transport: what all do alike, and what each meets on its own way.

mod adb;
mod conformance;
mod ssh;
mod ssh_as_ssh;
mod suite;
mod support;
