//! Names that read like music.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

const FIRST: &[&str] = &[
    "Ada", "Bo", "Cleo", "Dario", "Elin", "Farah", "Gil", "Hana", "Ivo", "June", "Kai", "Lena", "Milo", "Noor", "Odd",
    "Petra", "Quin", "Rosa", "Sami", "Tove", "Uma", "Vera", "Wim", "Xenia", "Yara", "Zeno", "Ines", "Otto", "Maren",
    "Theo",
];
const LAST: &[&str] = &[
    "Alvarez",
    "Berg",
    "Castellan",
    "Dahl",
    "Eklund",
    "Ferro",
    "Grey",
    "Holloway",
    "Ishii",
    "Jansen",
    "Kovac",
    "Lund",
    "Marlowe",
    "Nakata",
    "Okafor",
    "Prins",
    "Quist",
    "Rivers",
    "Santos",
    "Thorne",
    "Ullman",
    "Vance",
    "Winter",
    "Yilmaz",
];
const ADJECTIVES: &[&str] = &[
    "Silver", "Quiet", "Electric", "Paper", "Golden", "Hollow", "Midnight", "Velvet", "Broken", "Wild", "Northern",
    "Crimson", "Slow", "Distant", "Neon", "Bitter", "Gentle", "Static", "Burning", "Lonely", "Endless", "Second",
];
const NOUNS: &[&str] = &[
    "Rivers",
    "Lanterns",
    "Machines",
    "Hearts",
    "Foxes",
    "Tides",
    "Signals",
    "Gardens",
    "Wolves",
    "Harbours",
    "Mirrors",
    "Sparrows",
    "Cities",
    "Ghosts",
    "Satellites",
    "Summers",
    "Letters",
    "Avenues",
    "Thunder",
    "Horizons",
    "Echoes",
    "Bridges",
];
const VERBS: &[&str] = &[
    "Leave",
    "Hold",
    "Follow",
    "Remember",
    "Burn",
    "Carry",
    "Chase",
    "Forget",
    "Call",
    "Wait for",
    "Run to",
    "Dance with",
];
const OBJECTS: &[&str] = &[
    "Me Home",
    "the Light",
    "the Night",
    "You",
    "the Morning",
    "My Name",
    "the Rain",
    "Tomorrow",
    "the Radio",
    "the Sea",
    "Everything",
    "the Silence",
];
const PLACES: &[&str] = &[
    "Malmö",
    "Lisbon",
    "the Valley",
    "Osaka",
    "Route 9",
    "the Coast",
    "Harlem",
    "Recife",
    "the Attic",
    "Berlin",
    "Arcadia",
];

fn pick<'a>(words: &[&'a str], rng: &mut ChaCha8Rng) -> &'a str {
    words[rng.random_range(0..words.len())]
}

/// The name of an artist.
pub(super) fn artist(rng: &mut ChaCha8Rng) -> String {
    match rng.random_range(0..5) {
        0 => format!("{} {}", pick(FIRST, rng), pick(LAST, rng)),
        1 => format!("The {} {}", pick(ADJECTIVES, rng), pick(NOUNS, rng)),
        2 => format!("{} {}", pick(ADJECTIVES, rng), pick(NOUNS, rng)),
        3 => format!("{} & the {}", pick(FIRST, rng), pick(NOUNS, rng)),
        _ => format!("{} of {}", pick(NOUNS, rng), pick(PLACES, rng)),
    }
}

/// The title of a song in a genre.
pub(super) fn song(genre: &str, rng: &mut ChaCha8Rng) -> String {
    if genre == "classical" {
        let forms = ["Prelude", "Nocturne", "Sonata", "Étude", "Adagio", "Variation"];
        let keys = ["A minor", "B-flat major", "C minor", "D major", "E minor", "F-sharp minor", "G major"];
        return format!("{} No. {} in {}", pick(&forms, rng), rng.random_range(1..25), pick(&keys, rng));
    }
    match rng.random_range(0..6) {
        0 => format!("{} {}", pick(VERBS, rng), pick(OBJECTS, rng)),
        1 => format!("{} {}", pick(ADJECTIVES, rng), pick(NOUNS, rng)),
        2 => format!("{} in {}", pick(NOUNS, rng), pick(PLACES, rng)),
        3 => pick(NOUNS, rng).to_owned(),
        4 => format!("Don't {} {}", pick(VERBS, rng), pick(OBJECTS, rng)),
        _ => format!("{} ({} Version)", pick(NOUNS, rng), pick(ADJECTIVES, rng)),
    }
}
