//! `intent_prototypes.json`: `version`, `sharpness` for 1, 2, ... plays, and the prototypes with their directions.

use crate::domain::{IntentPrototypes, Prototype};

/// The version that is written and read.
const VERSION: u32 = 1;
/// Most prototypes read.
const MAX_PROTOTYPES: usize = 1_024;
/// Most counts of plays, and the greatest sharpness.
const MAX_COUNTS: usize = 64;
const MAX_SHARPNESS: f32 = 10_000.0;

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    sharpness: Vec<f32>,
    prototypes: Vec<Prototype>,
}

/// What is read first, so that another version is told as that.
#[derive(serde::Deserialize)]
struct Versioned {
    version: u32,
}

/// The text of the file.
pub(super) fn text(of: &IntentPrototypes) -> Result<Vec<u8>, serde_json::Error> {
    let (sharpness, prototypes) = (of.sharpness().to_vec(), of.prototypes().to_vec());
    serde_json::to_vec(&File { version: VERSION, sharpness, prototypes })
}

/// Reads the file, whose directions must be of this dimension.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(json: &[u8], dim: usize) -> Result<IntentPrototypes, String> {
    let Versioned { version } = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    if version != VERSION {
        return Err(format!("prototypes of version {version}, this build reads {VERSION}; build the bundle again"));
    }
    let File { sharpness, prototypes, .. } = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    if !(1..=MAX_PROTOTYPES).contains(&prototypes.len()) {
        return Err(format!("{} prototypes, not 1 to {MAX_PROTOTYPES}", prototypes.len()));
    }
    let is_sharp = |value: &f32| (0.0..=MAX_SHARPNESS).contains(value);
    if !(1..=MAX_COUNTS).contains(&sharpness.len()) || !sharpness.iter().all(is_sharp) {
        return Err(format!("`sharpness` must be 1 to {MAX_COUNTS} numbers of 0 to {MAX_SHARPNESS}"));
    }
    for (at, prototype) in prototypes.iter().enumerate() {
        check(prototype, dim).map_err(|fault| format!("prototype {} ({:?}): {fault}", at + 1, prototype.label))?;
    }
    Ok(IntentPrototypes::new(prototypes, sharpness))
}

fn check(prototype: &Prototype, dim: usize) -> Result<(), String> {
    super::intents::check_label(&prototype.label)?;
    if prototype.direction.len() != dim {
        return Err(format!("a direction of dimension {}, the manifest says {dim}", prototype.direction.len()));
    }
    let norm = prototype.direction.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if !norm.is_finite() || (norm - 1.0).abs() > 1e-3 {
        return Err(format!("its direction has length {norm}, expected 1"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SessionProfile;
    use proptest::prelude::*;

    fn prototypes(direction: Vec<f32>) -> IntentPrototypes {
        let profile = SessionProfile { energy: Some(0.1), tempo: Some(117.3), ..SessionProfile::default() };
        let genres = vec![("jazz".into(), 0.7)];
        IntentPrototypes::new(vec![Prototype { label: "x".into(), sessions: 3, profile, genres, direction }], vec![8.0])
    }

    proptest! {
        #[test]
        fn reads_what_it_writes_bit_by_bit(angle in 0.0f32..7.0) {
            let written = prototypes(vec![angle.cos(), angle.sin()]);
            prop_assert_eq!(parse(&text(&written).unwrap(), 2), Ok(written));
        }
    }

    #[test]
    fn refuses_faults_and_says_which() {
        let good = String::from_utf8(text(&prototypes(vec![0.6, 0.8])).unwrap()).unwrap();
        let error = |from: &str, to: &str| {
            assert!(good.contains(from), "{good}");
            parse(good.replace(from, to).as_bytes(), 2).unwrap_err()
        };
        assert!(error("\"version\":1", "\"version\":2").contains("version 2, this build reads 1"));
        assert!(error("0.8]", "0.8,0.1]").contains("dimension 3"));
        assert!(error("0.8]", "0.9]").contains("prototype 1 (\"x\"): its direction has length"));
        assert!(error("\"label\":\"x\"", "\"label\":\"\"").contains("a label has 1 to 64 bytes"));
        assert!(error("\"sharpness\":[8.0]", "\"sharpness\":[]").contains("sharpness"));
        assert!(error("\"sharpness\":[8.0]", "\"sharpness\":[-1]").contains("sharpness"));
        assert!(error("\"sessions\"", "\"sesions\"").contains("sesions"));
        assert!(parse(br#"{"version":1,"sharpness":[1],"prototypes":[]}"#, 2).unwrap_err().contains("0 prototypes"));
        assert!(parse(&text(&prototypes(vec![1.0])).unwrap(), 2).is_err());
    }
}
