//! A configuration file: any bytes are a configuration or a list of faults that can be printed.
#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use segue::config::load;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    match load(Some(file.path()), std::iter::empty(), &[]) {
        Ok(config) => assert!(config.server.max_list_len >= 1),
        Err(faults) => assert!(!faults.to_string().is_empty()),
    }
});
