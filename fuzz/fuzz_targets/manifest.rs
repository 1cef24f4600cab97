//! The manifest of a bundle: as it comes, and with a digest that fits, so that what is behind it is read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use segue::bundle::Manifest;
use sha2::{Digest, Sha256};

/// A sound one, whose first line begins every other.
const SOUND: &str = include_str!("../../models/demo/manifest.toml");

fuzz_target!(|text: &str| {
    let _ = Manifest::parse(text);
    let (header, _) = SOUND.split_once("digest = \"").unwrap();
    let fitting = format!("{header}digest = \"{}\"\n{text}", hex::encode(Sha256::digest(text)));
    if let Ok(manifest) = Manifest::parse(&fitting) {
        assert_eq!(Manifest::parse(&manifest.to_text().unwrap()), Ok(manifest));
    }
});
