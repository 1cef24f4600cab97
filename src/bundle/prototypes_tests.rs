use super::*;
use crate::bundle::default_rules;
use crate::domain::{Track, TrackIx, bare_track};

/// Kinds of music: energy, valence and tempo, and a genre.
const KINDS: [(f32, f32, f32, &str); 4] =
    [(0.1, 0.9, 60.0, "ambient"), (0.9, 0.2, 150.0, "metal"), (0.55, 0.45, 200.0, "polka"), (0.3, 0.1, 80.0, "blues")];
/// Tracks of a kind.
const TRACKS: u32 = 10;

/// Ten tracks of each kind, near an axis of its own.
fn world(edit: impl Fn(&mut Track)) -> (Catalogue, ItemVectors) {
    let (mut tracks, mut vectors) = (Vec::new(), Vec::new());
    for (kind, (energy, valence, tempo, genre)) in KINDS.into_iter().enumerate() {
        for number in 0..TRACKS {
            let mut track = bare_track(&format!("t{kind}-{number}"), &format!("a{kind}-{number}"));
            (track.energy, track.valence, track.tempo_bpm) = (Some(energy), Some(valence), Some(tempo));
            track.genre = Some(genre.into());
            edit(&mut track);
            tracks.push(track);
            let aside = number as f32 / 40.0;
            let mut row = vec![aside; KINDS.len()];
            row[kind] = 1.0;
            let norm = row.iter().map(|value| value * value).sum::<f32>().sqrt();
            vectors.extend(row.iter().map(|value| value / norm));
        }
    }
    (Catalogue::new(tracks).unwrap(), ItemVectors::from_raw(vectors, KINDS.len()).unwrap())
}

/// Sessions of eight plays, each of one kind, at one hour; no artist is new.
fn sessions(of_each: u32, hour: impl Fn(u32) -> usize, of_new: u32) -> Vec<SampledSession> {
    let session = |number: u32| {
        let kind = number % KINDS.len() as u32;
        let track = |play: u32| TrackIx(kind * TRACKS + (number * 7 + play * 3) % TRACKS);
        SampledSession { tracks: (0..8).map(track).collect(), hour: hour(kind), judged: 8, of_new_artists: of_new }
    };
    (0..of_each * KINDS.len() as u32).map(session).collect()
}

fn find(sessions: &[SampledSession], edit: impl Fn(&mut Track), rules: &[IntentRule]) -> Option<IntentPrototypes> {
    let (catalogue, vectors) = world(edit);
    prototypes(sessions, &catalogue, &vectors, rules)
}

fn labels(of: &IntentPrototypes) -> Vec<&str> {
    let mut labels: Vec<&str> = of.labels().iter().map(|(label, _)| &**label).collect();
    labels.sort_unstable();
    labels
}

fn night(kind: u32) -> usize {
    if kind == 0 { 2 } else { 9 }
}

#[test]
fn clusters_are_named_by_what_they_sound_like() {
    let found = find(&sessions(60, night, 0), |_| {}, &default_rules()).unwrap();
    assert_eq!(
        labels(&found),
        ["melancholy", "polka", "sleep", "workout"],
        "polka matches no rule: its genre names it"
    );
    let sleep = found.prototypes().iter().find(|prototype| &*prototype.label == "sleep").unwrap();
    assert!((sleep.profile.energy.unwrap() - 0.1).abs() < 1e-6 && sleep.profile.new_artists == Some(0.0));
    assert_eq!(sleep.genres, [("ambient".to_owned(), 1.0)]);
    assert_eq!(found.prototypes().iter().map(|prototype| prototype.sessions).sum::<u64>(), 240);
    let waking = find(&sessions(60, |_| 9, 0), |_| {}, &default_rules()).unwrap();
    assert!(labels(&waking).contains(&"ambient"), "nobody sleeps at nine");
}

#[test]
fn without_audio_genres_name_them_and_without_genres_numbers() {
    let silent = |track: &mut Track| (track.energy, track.valence, track.tempo_bpm) = (None, None, None);
    let found = find(&sessions(60, night, 0), silent, &default_rules()).unwrap();
    assert_eq!(labels(&found), ["ambient", "blues", "metal", "polka"]);
    let bare = |track: &mut Track| {
        silent(track);
        track.genre = None;
    };
    let found = find(&sessions(60, night, 0), bare, &default_rules()).unwrap();
    assert!(found.prototypes().len() > 3 && labels(&found)[0] == "group-1");
    let long = |track: &mut Track| {
        silent(track);
        track.genre = Some("ö".repeat(40));
    };
    assert_eq!(labels(&find(&sessions(60, night, 0), long, &[]).unwrap()), ["ö".repeat(32)]);
}

#[test]
fn sessions_of_new_artists_are_for_discovery() {
    let found = find(&sessions(60, night, 6), |track| track.energy = None, &default_rules()).unwrap();
    assert_eq!(labels(&found), ["discovery"]);
    let unjudged: Vec<_> = sessions(60, night, 0).into_iter().map(|s| SampledSession { judged: 0, ..s }).collect();
    let found = find(&unjudged, |_| {}, &default_rules()).unwrap();
    assert!(found.prototypes().iter().all(|prototype| prototype.profile.new_artists.is_none()));
}

#[test]
fn too_few_sessions_have_no_prototypes() {
    let all = sessions(60, night, 0);
    for few in [&all[..0], &all[..1], &all[..39]] {
        assert_eq!(find(few, |_| {}, &default_rules()), None);
    }
    let short: Vec<_> = all.iter().map(|s| SampledSession { tracks: s.tracks[..2].to_vec(), ..s.clone() }).collect();
    assert_eq!(find(&short, |_| {}, &default_rules()), None, "two plays say little");
    assert_eq!(find(&all[..40], |_| {}, &default_rules()).unwrap().prototypes().len(), 2);
}

#[test]
fn the_same_sessions_give_the_same() {
    let find = || find(&sessions(200, night, 1), |_| {}, &default_rules());
    assert_eq!(find(), find());
}

#[test]
fn sharpness_is_what_the_history_bears_out() {
    let told = find(&sessions(60, night, 0), |_| {}, &default_rules()).unwrap();
    // Sessions whose plays say nothing of what comes: the second half is of any kind.
    let mut mixed = sessions(60, night, 0);
    for (number, session) in mixed.iter_mut().enumerate() {
        let kind = (number / KINDS.len() % KINDS.len()) as u32;
        session.tracks[4..].iter_mut().for_each(|track| *track = TrackIx(kind * TRACKS + track.0 % TRACKS));
    }
    let mixed = find(&mixed, |_| {}, &default_rules()).unwrap();
    assert_eq!(told.sharpness().len(), COUNTED_PLAYS);
    // Of four plays nothing of what comes follows any more.
    assert!(mixed.sharpness()[3] < told.sharpness()[3] / 4.0, "{:?} {:?}", mixed.sharpness(), told.sharpness());
}

#[test]
fn the_sharpest_is_that_of_the_least_loss() {
    // Two prototypes at cosines 1 and 0, and the first comes nine times of ten: e^s = 9.
    let judged: Vec<_> = (0..100).map(|number| (vec![1.0, 0.0], usize::from(number % 10 == 0))).collect();
    let found = sharpest(&judged);
    assert!((found / 9f32.ln()).log2().abs() < 0.3, "{found}");
}

#[test]
fn hours_alone_name_no_music_and_ties_go_by_order() {
    let rules: Vec<IntentRule> = serde_json::from_str(
        r#"[{"label":"commute","hours":[0,24]},{"label":"a","energy":[0,1]},{"label":"b","energy":[0,1]}]"#,
    )
    .unwrap();
    assert_eq!(labels(&find(&sessions(60, night, 0), |_| {}, &rules).unwrap()), ["a"]);
    assert_eq!(labels(&find(&sessions(60, night, 0), |_| {}, &rules[..1]).unwrap())[0], "ambient");
}
