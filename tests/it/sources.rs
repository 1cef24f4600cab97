//! Reads the crate's sources as text: enough of Rust to see what each file names.

use std::path::{Path, PathBuf};

/// One source file.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Path below `src`, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// One path that a file names, such as `crate::domain::Track`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// Line, from 1.
    pub line: usize,
    /// Its parts after the first: `["domain", "Track"]`.
    pub parts: Vec<String>,
}

impl Source {
    /// The module the file belongs to: the folder or file directly below `src`.
    pub(crate) fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// What the file names from the crate's root, spelt `crate::` (in `main.rs` `segue::`) or with enough `super::`.
    /// Test code is left out.
    pub(crate) fn names_from_root(&self) -> Vec<Named> {
        let code = self.code(false);
        let mut named = paths_from(&code, if self.path == "main.rs" { "segue" } else { "crate" });
        let depth = self.path.trim_end_matches("/mod.rs").split('/').count();
        for mut above in paths_from(&code, "super") {
            let further = above.parts.iter().take_while(|part| *part == "super").count();
            if further + 1 == depth {
                above.parts.drain(..further);
                named.push(above);
            }
        }
        named.retain(|named| !named.parts.is_empty());
        named
    }

    /// The text without comments and, when `tests` is false, without the inline test module at its end. Lines keep
    /// their numbers.
    pub(crate) fn code(&self, tests: bool) -> String {
        let bare: Vec<&str> = self.text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
        let starts_tests = |pair: &[&str]| pair[0].trim() == "#[cfg(test)]" && is_inline_module(pair[1]);
        let end = bare.windows(2).position(starts_tests).filter(|_| !tests).unwrap_or(bare.len());
        bare[..end].join("\n")
    }

    /// Files that this one declares under `#[cfg(test)]`, as paths below `src`.
    fn test_files(&self) -> Vec<String> {
        let folder = match self.path.rsplit_once('/') {
            Some((folder, "mod.rs")) => format!("{folder}/"),
            Some(_) => format!("{}/", self.path.trim_end_matches(".rs")),
            None => String::new(),
        };
        let lines: Vec<&str> = self.text.lines().map(str::trim).collect();
        let declared = |pair: &[&str]| {
            let name = pair[1].split_whitespace().next_back()?.strip_suffix(';')?;
            (pair[0] == "#[cfg(test)]" && pair[1].contains("mod ")).then(|| format!("{folder}{name}.rs"))
        };
        lines.windows(2).filter_map(declared).collect()
    }
}

fn is_inline_module(line: &str) -> bool {
    line.contains("mod ") && line.trim_end().ends_with('{')
}

/// Every `.rs` file below `root`, by path.
pub(crate) fn below(root: &Path) -> Vec<Source> {
    let mut folders = vec![PathBuf::from(root)];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(root).unwrap_or(&path);
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                sources.push(Source { path: relative.to_string_lossy().replace('\\', "/"), text });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// The sources without the files that exist only for tests.
pub(crate) fn without_test_files(sources: &[Source]) -> Vec<&Source> {
    let tests: Vec<String> = sources.iter().flat_map(Source::test_files).collect();
    sources.iter().filter(|source| !tests.contains(&source.path)).collect()
}

/// Every path in `code` that begins with the identifier `first`, groups in braces spelt out.
pub(crate) fn paths_from(code: &str, first: &str) -> Vec<Named> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(first) {
        let before = code[..at].chars().next_back();
        let inside_name = before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
        if let (false, Some(rest)) = (inside_name, code[at + first.len()..].strip_prefix("::")) {
            let line = 1 + code[..at].matches('\n').count();
            expand(rest, &mut Vec::new(), &mut |parts| found.push(Named { line, parts: parts.to_vec() }));
        }
    }
    found
}

/// Walks one `a::{b, c::d}` tree at the start of `text`; returns what follows it.
fn expand<'a>(text: &'a str, prefix: &mut Vec<String>, emit: &mut dyn FnMut(&[String])) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            if rest.is_empty() || rest.starts_with('}') {
                return rest.strip_prefix('}').unwrap_or(rest);
            }
            let next = expand(rest, prefix, emit);
            rest = if next.len() < rest.len() { skip_alias(next) } else { &rest[1.min(rest.len())..] };
        }
    }
    if let Some(rest) = text.strip_prefix('*') {
        emit(prefix);
        return rest;
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return rest;
    }
    let depth = prefix.len();
    prefix.push(name.to_owned());
    let rest = match rest.strip_prefix("::") {
        Some(deeper) => expand(deeper, prefix, emit),
        None => {
            emit(prefix);
            rest
        }
    };
    prefix.truncate(depth);
    rest
}

/// Passes over `as Name` inside a group.
fn skip_alias(text: &str) -> &str {
    let end = text.find([',', '}']).unwrap_or(text.len());
    if text[..end].trim_start().starts_with("as ") { &text[end..] } else { text }
}

#[test]
fn paths_are_read_out_of_nested_groups() {
    let code = "use crate::a::{B, c::{D as E, F},\n G};\nlet x = crate::h::I::new(); xcrate::no; use crate::{j, k::*};";
    let said: Vec<String> =
        paths_from(code, "crate").iter().map(|n| format!("{} {}", n.line, n.parts.join("::"))).collect();
    assert_eq!(said, ["1 a::B", "1 a::c::D", "1 a::c::F", "1 a::G", "3 h::I::new", "3 j", "3 k"]);
}

#[test]
fn enough_supers_reach_the_root() {
    let text = "use super::super::b::C;\nuse super::D;\nuse crate::E;\n";
    let named = |path: &str| Source { path: path.into(), text: text.into() }.names_from_root();
    let parts = |path: &str| named(path).iter().map(|named| named.parts.join("::")).collect::<Vec<_>>();
    assert_eq!(parts("x/y.rs"), ["E", "b::C"]);
    assert_eq!(parts("x/mod.rs"), ["E", "D"]);
    assert_eq!(parts("x/y/z.rs"), ["E"]);
}

#[test]
fn test_code_is_told_from_the_rest() {
    let text = "#[cfg(test)]\npub(crate) mod testing;\nuse crate::a; // crate::b\n#[cfg(test)]\nmod tests {\n use crate::c;\n}\n";
    let source = Source { path: "x/mod.rs".into(), text: text.into() };
    let named = |tests| paths_from(&source.code(tests), "crate").len();
    assert_eq!((named(false), named(true), source.test_files()), (1, 2, vec!["x/testing.rs".to_owned()]));
}
