//! The `farmctl` program.

fn main() {}
