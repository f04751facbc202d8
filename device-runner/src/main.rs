//! The runner: measures inference on one device.

fn main() {}
