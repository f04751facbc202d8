//! Every transport: what all do alike, and what each meets on its own way.

mod adb;
mod conformance;
mod ssh;
mod suite;
mod support;
