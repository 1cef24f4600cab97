use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::config::RuleConfig;
use crate::domain::{CandidateSet, Catalogue, Request, RequestContext, Retrieved, Source, TrackIx};
use crate::pipeline::{CandidateFilter, ContextPatch, ContextSource, Deadline, Reranker, Retriever, RuleEffect};
use crate::stages::fixtures;

fn rules(text: &str) -> Vec<RuleConfig> {
    #[derive(serde::Deserialize)]
    struct File {
        rules: Vec<RuleConfig>,
    }
    toml::from_str::<File>(text).unwrap().rules
}

/// Thirty tracks by ten artists; every fourth is jazz, every fifth came out on day 100, every sixth has no label.
fn catalogue() -> Arc<Catalogue> {
    fixtures::catalogue(30, |row, track| {
        track.genre = Some(if row % 4 == 0 { "jazz" } else { "rock" }.into());
        track.release_day = Some(if row % 5 == 0 { 100 } else { 10 });
        track.label = (row % 6 != 0).then(|| format!("label {}", row % 3));
    })
}

fn context(market: &str) -> RequestContext {
    let request = Request { market: Some(market.into()), now_ms: 101 * 86_400_000, ..fixtures::request() };
    fixtures::context(request, Default::default(), Default::default())
}

/// The first `listed` of thirty tracks are the list; gives the new one, and what each rule did.
fn apply(text: &str, market: &str, listed: u32) -> (Vec<u32>, Vec<RuleEffect>) {
    let mut stage = ApplyRules::new(RuleBook::new(Rules::new(&rules(text)), catalogue()));
    let mut candidates = CandidateSet::default();
    (0..30).for_each(|row| candidates.push(Retrieved { track: TrackIx(row), score: 0.0 }, Source::TwoTower));
    let mut scores: Vec<f32> = (0..30).map(|row| -(row as f32)).collect();
    let (mut order, mut propensity) = ((0..listed).collect(), vec![None; 30]);
    stage.rerank(&context(market), &candidates, &mut scores, &mut propensity, &mut order, listed as usize).unwrap();
    let touched: std::collections::HashSet<_> = stage.touched().iter().map(|(row, _)| *row).collect();
    let moved = order.iter().filter(|row| **row >= listed).all(|row| touched.contains(row));
    assert!(moved, "what came from below the list was brought by a rule: {order:?}, or moved up because of one");
    (order, stage.rules().to_vec())
}

fn effect(rule: &str, action: &'static str, tracks: u32, unmet: u32) -> RuleEffect {
    RuleEffect { rule: rule.into(), action, tracks, unmet }
}

#[test]
fn each_action_does_what_it_says() {
    let pin = "[[rules]]\nname='p'\naction='pin'\ntracks=['gone','t20']\nposition=2\nmarkets=['SE']";
    assert_eq!(apply(pin, "SE", 5), (vec![0, 20, 1, 2, 3], vec![effect("p", "pin", 1, 0)]));
    assert_eq!(apply(pin, "DE", 5), (vec![0, 1, 2, 3, 4], vec![]), "it does not hold there");
    let beyond = "[[rules]]\nname='p'\naction='pin'\ntracks=['t20']\nposition=6";
    assert_eq!(apply(beyond, "SE", 5), (vec![0, 1, 2, 3, 4], vec![effect("p", "pin", 0, 1)]));
    let boost = "[[rules]]\nname='b'\naction='boost'\nplaces=2\ngenres=['jazz']\nartists=['a1','a2']";
    // Row 4 alone is jazz and by `a1`, row 8 by `a2`.
    assert_eq!(apply(boost, "SE", 7), (vec![0, 1, 4, 2, 3, 5, 8], vec![effect("b", "boost", 2, 0)]));
    let quota = "[[rules]]\nname='q'\naction='at_least'\ncount=3\nfresh_days=1";
    assert_eq!(apply(quota, "SE", 4), (vec![0, 1, 5, 10], vec![effect("q", "at_least", 2, 0)]));
    let windowed = "[[rules]]\nname='w'\naction='at_least'\ncount=3\nfresh_days=1\nfrom='1971-01-01T00:00:00Z'";
    assert_eq!(apply(windowed, "SE", 4).0, [0, 1, 2, 3]);
}

#[test]
fn contradictions_have_the_outcome_that_is_documented() {
    let two = "[[rules]]\nname='a'\naction='pin'\ntracks=['t9']\nposition=1\n[[rules]]\nname='b'\naction='pin'\n\
               tracks=['t9']\nposition=3\n[[rules]]\nname='c'\naction='pin'\ntracks=['t8']\nposition=1";
    let effects = vec![effect("a", "pin", 1, 0), effect("b", "pin", 0, 1), effect("c", "pin", 1, 0)];
    assert_eq!(apply(two, "SE", 4), (vec![9, 8, 0, 1], effects));
    let both = "[[rules]]\nname='a'\naction='boost'\nplaces=3\ntracks=['t4']\n[[rules]]\nname='b'\naction='bury'\n\
                places=2\ngenres=['jazz']\n";
    assert_eq!(apply(both, "SE", 6).0, [1, 2, 0, 4, 3, 5], "row 4 moves by the difference, before what stood there");
}

#[test]
fn blocks_remove_and_say_who_did() {
    let text = "[[rules]]\nname='a'\naction='block'\ngenres=['jazz']\n[[rules]]\nname='b'\naction='block'\n\
                artists=['a0']\nmarkets=['SE']\n[[rules]]\nname='c'\naction='block'\ntracks=['gone']";
    let mut filter = RuleBlock::new(RuleBook::new(Rules::new(&rules(text)), catalogue()));
    let tracks: Vec<TrackIx> = (0..6).map(TrackIx).collect();
    let mut removed = vec![false, false, true, false, false, false];
    filter.mark(&context("SE"), &tracks, &mut removed);
    assert_eq!(removed, [true, true, true, false, true, false]);
    assert_eq!(filter.rules(), [effect("a", "block", 2, 0), effect("b", "block", 1, 0)]);
    let mut removed = vec![false; 6];
    filter.mark(&context("DE"), &tracks, &mut removed);
    assert_eq!(removed, [true, false, false, false, true, false]);
}

#[test]
fn pins_are_proposed_and_found_when_they_come() {
    let catalogue = catalogue();
    let text = "[[rules]]\nname='a'\naction='pin'\ntracks=['t3','new']\nposition=1\nmarkets=['SE']\n\
                [[rules]]\nname='b'\naction='block'\nartists=['a1','nobody']\ngenres=['polka']\nlabels=['label 2','nowhere']\n\
                [[rules]]\nname='c'\naction='block'\nartists=['a1']";
    let book = RuleBook::new(Rules::new(&rules(text)), Arc::clone(&catalogue));
    let until = "it counts for nothing until it comes";
    let expected = [
        format!("rule `a`: the catalogue has no track \"new\": {until}"),
        format!("rule `b`: the catalogue has no artist \"nobody\": {until}"),
        format!("rule `b`: the catalogue has no genre \"polka\": {until}"),
        format!("rule `b`: the catalogue has no label \"nowhere\": {until}"),
        "rule `a`: `c` blocks track \"t3\", which is not served while both hold".into(),
    ];
    assert_eq!(book.findings(), expected);
    let mut pins = RulePins::new(book);
    let mut proposed = |market: &str| {
        let mut out = Vec::new();
        pins.retrieve(&context(market), 10, &Deadline::never(), &mut out).unwrap();
        out.into_iter().map(|hit| hit.track.0).collect::<Vec<_>>()
    };
    assert_eq!((proposed("SE"), proposed("DE")), (vec![3], vec![]));
    catalogue.add(crate::domain::bare_track("new", "a")).unwrap();
    assert_eq!(proposed("SE"), [3, 30]);
}

/// A rule by its definition: what it is about, by the catalogue's rows.
fn is_about(rule: &RuleConfig, catalogue: &Catalogue, row: u32) -> bool {
    let track = catalogue.track(TrackIx(row));
    let has = |list: &[String], value: &str| list.is_empty() || list.iter().any(|one| one == value);
    has(&rule.tracks, track.track_id.as_str())
        && has(&rule.artists, track.artist_id.as_str())
        && has(&rule.genres, track.genre.as_deref().unwrap())
        && has(&rule.labels, track.label.as_deref().unwrap_or("(none)"))
        && rule.fresh_days.is_none_or(|days| (0..=days as i32).contains(&(101 - track.release_day.unwrap())))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Filters and selections equal the definition, whatever the rules are about.
    #[test]
    fn what_a_rule_is_about_is_what_the_catalogue_says(
        tracks in prop::collection::vec(0usize..34, 0..4), artists in prop::collection::vec(0usize..12, 0..4),
        genre in prop::option::of(prop::sample::select(vec!["jazz", "rock", "polka"])),
        labels in prop::collection::vec(0usize..4, 0..3), fresh_days in prop::option::of(0u32..120),
    ) {
        let catalogue = catalogue();
        let mut rule = rules("[[rules]]\nname='x'\naction='block'\n").remove(0);
        rule.tracks = tracks.iter().map(|row| format!("t{row}")).collect();
        rule.artists = artists.iter().map(|row| format!("a{row}")).collect();
        rule.genres = genre.iter().map(|&name| name.to_owned()).collect();
        rule.labels = labels.iter().map(|number| format!("label {number}")).collect();
        rule.fresh_days = fresh_days;
        let mut filter = RuleBlock::new(RuleBook::new(Rules::new(std::slice::from_ref(&rule)), Arc::clone(&catalogue)));
        let mut removed = vec![false; 30];
        filter.mark(&context("SE"), &(0..30).map(TrackIx).collect::<Vec<_>>(), &mut removed);
        for row in 0..30 {
            prop_assert_eq!(removed[row as usize], is_about(&rule, &catalogue, row), "{}", row);
        }
    }
}

#[test]
fn a_lane_takes_other_rules_over_when_a_request_begins() {
    let block = |track: &str| rules(&format!("[[rules]]\nname='b'\naction='block'\ntracks=['{track}']"));
    let (in_force, of_lane) = (Rules::new(&[]), Rules::new(&[]));
    let book = RuleBook::new(of_lane.clone(), catalogue());
    let mut source = RuleSource::new(in_force.clone(), of_lane);
    assert!(source.is_vital());
    let (mut filter, mut other) = (RuleBlock::new(book.clone()), RuleBlock::new(book));
    let removed = |filter: &mut RuleBlock| {
        let mut removed = vec![false; 3];
        filter.mark(&context("SE"), &[TrackIx(0), TrackIx(1), TrackIx(2)], &mut removed);
        removed.iter().position(|gone| *gone)
    };
    let mut begin = || match source.load(&context("SE"), &Deadline::after_checks(0)) {
        Ok(ContextPatch::Rules(digest)) => digest,
        patch => panic!("{patch:?}"),
    };
    let none = begin();
    assert_eq!(removed(&mut filter), None);
    in_force.set(&block("t1"));
    assert_eq!(removed(&mut filter), None, "this request goes by the rules with which it began");
    let first = begin();
    assert_eq!((removed(&mut filter), removed(&mut other)), (Some(1), Some(1)));
    in_force.set(&block("t2"));
    assert_eq!(removed(&mut other), Some(1));
    let second = begin();
    assert_eq!((removed(&mut filter), removed(&mut other)), (Some(2), Some(2)));
    in_force.set(&block("t1"));
    assert_eq!(begin(), first, "the same rules are told as the same");
    assert!(none != first && first != second && none != second);
}
