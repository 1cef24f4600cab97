//! The `segue` binary: parses arguments and hands over.

fn main() {}
