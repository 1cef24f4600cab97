//! The formats by name.

/// A format of listening histories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Parquet of the 30Music sample.
    ThirtyMusic,
    /// Spotify's extended streaming history.
    Spotify,
    /// ListenBrainz listens as JSON lines.
    ListenBrainz,
    /// Last.fm scrobbles as TSV or CSV.
    LastFm,
    /// Any text with delimiters, read by a mapping.
    Csv,
    /// Any Parquet, read by a mapping.
    Parquet,
}

impl Format {
    /// Every format.
    pub const ALL: &'static [Self] =
        &[Self::ThirtyMusic, Self::Spotify, Self::ListenBrainz, Self::LastFm, Self::Csv, Self::Parquet];

    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ThirtyMusic => "30music",
            Self::Spotify => "spotify",
            Self::ListenBrainz => "listenbrainz",
            Self::LastFm => "lastfm",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    /// The format with that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.as_str() == name)
    }

    /// Whether it needs a mapping.
    pub fn is_mapped(self) -> bool {
        matches!(self, Self::Csv | Self::Parquet)
    }

    /// How names of its files look, for messages.
    pub(super) fn files(self) -> &'static str {
        match self {
            Self::ThirtyMusic | Self::Parquet => "*.parquet or *.parquet.snappy",
            Self::Spotify => "Streaming_History_Audio_*.json or endsong_*.json",
            Self::ListenBrainz => "*.listens, *.jsonl, *.ndjson or *.json",
            Self::LastFm | Self::Csv => "*.csv, *.tsv or *.txt",
        }
    }

    /// Whether a file found in a directory is one of its files.
    pub(super) fn takes(self, name: &str) -> bool {
        let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        match self {
            Self::ThirtyMusic | Self::Parquet => ends(&[".parquet", ".parquet.snappy"]),
            Self::Spotify => {
                ends(&[".json"]) && (name.starts_with("Streaming_History_Audio_") || name.starts_with("endsong"))
            }
            Self::ListenBrainz => ends(&[".listens", ".jsonl", ".ndjson", ".json"]),
            Self::LastFm | Self::Csv => ends(&[".csv", ".tsv", ".txt"]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        assert!(Format::ALL.iter().all(|format| Format::parse(format.as_str()) == Some(*format)));
        assert_eq!(Format::parse("mp3"), None);
    }

    #[test]
    fn a_directory_gives_only_what_belongs() {
        assert!(Format::Spotify.takes("Streaming_History_Audio_2020_3.json"));
        assert!(Format::Spotify.takes("endsong_0.json"));
        assert!(!Format::Spotify.takes("Streaming_History_Video_2020.json"));
        assert!(Format::ThirtyMusic.takes("x.parquet.snappy"));
        assert!(!Format::LastFm.takes("readme.md"));
    }
}
