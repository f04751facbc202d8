//! Virtual boards and faulty network paths.
