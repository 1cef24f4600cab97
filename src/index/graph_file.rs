//! The graph as a file. The format is ours, not `hnsw_rs`'s: its reader trusts what it reads, exits the process on some
//! faults, and its files hold a second copy of every vector.
//!
//! Little-endian: `SEGUEHNS`, u32 version, u32 dim, u64 rows, u32 entry, u32 levels; then a level at a time, bottom
//! first: u64 nodes (0 on the bottom), u64 links, the nodes (u32), the starts (u32, nodes or rows + 1), the links (u32).

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::graph::{Graph, Level};
use super::{IndexError, fault};

/// Name of the graph's file in a bundle.
pub const GRAPH_FILE: &str = "index.hnsw.graph";

const MAGIC: &[u8; 8] = b"SEGUEHNS";
const VERSION: u32 = 1;

/// Writes the graph into `dir`.
///
/// # Errors
/// [`IndexError::File`].
pub(super) fn save(graph: &Graph, dir: &Path) -> Result<(), IndexError> {
    let path = dir.join(GRAPH_FILE);
    let written = File::create(&path).and_then(|file| {
        let mut file = BufWriter::with_capacity(1 << 20, file);
        write(graph, &mut file)?;
        file.into_inner()?.sync_all()
    });
    written.map_err(|error| fault(&path, format!("cannot be written: {error}")))
}

fn write(graph: &Graph, file: &mut impl Write) -> std::io::Result<()> {
    file.write_all(MAGIC)?;
    file.write_all(&VERSION.to_le_bytes())?;
    file.write_all(&(graph.dim as u32).to_le_bytes())?;
    file.write_all(&(graph.rows as u64).to_le_bytes())?;
    file.write_all(&graph.entry.to_le_bytes())?;
    file.write_all(&(graph.levels.len() as u32).to_le_bytes())?;
    for level in &graph.levels {
        file.write_all(&(level.nodes.len() as u64).to_le_bytes())?;
        file.write_all(&(level.links.len() as u64).to_le_bytes())?;
        for number in level.nodes.iter().chain(&level.starts).chain(&level.links) {
            file.write_all(&number.to_le_bytes())?;
        }
    }
    Ok(())
}

/// Reads the graph of `rows` vectors of dimension `dim` from `dir`. Any file is either a graph that a walk cannot leave or
/// an error; no length is trusted before as many bytes are there.
///
/// # Errors
/// [`IndexError::File`]: unreadable, damaged, or of other vectors.
pub(super) fn load(dir: &Path, rows: usize, dim: usize) -> Result<Graph, IndexError> {
    let path = dir.join(GRAPH_FILE);
    let bytes = std::fs::read(&path).map_err(|error| {
        let hint = "build the bundle with index.engine = \"hnsw\", or serve it with index.engine = \"exact\"";
        fault(&path, format!("cannot be read: {error}; {hint}"))
    })?;
    let graph = parse(&bytes).map_err(|message| fault(&path, message))?;
    if (graph.rows, graph.dim) == (rows, dim) {
        Ok(graph)
    } else {
        let (has, of) = (graph.rows, graph.dim);
        Err(fault(&path, format!("holds {has} rows of dimension {of}, the vectors are {rows} of {dim}")))
    }
}

fn parse(bytes: &[u8]) -> Result<Graph, &'static str> {
    let mut bytes = Bytes(bytes);
    if bytes.take(MAGIC.len())? != MAGIC {
        return Err("is not a graph of Segue");
    }
    if bytes.number()? != VERSION {
        return Err("is of another version: build the bundle again");
    }
    let dim = bytes.number()? as usize;
    let rows = bytes.length()?;
    let entry = bytes.number()?;
    let levels = bytes.number()?;
    let mut graph = Graph { rows, dim, entry, levels: Vec::new() };
    for at in 0..levels {
        let (nodes, links) = (bytes.length()?, bytes.length()?);
        let starts = if at == 0 { rows } else { nodes }.checked_add(1).ok_or("is damaged")?;
        graph.levels.push(Level {
            nodes: bytes.numbers(nodes)?,
            starts: bytes.numbers(starts)?,
            links: bytes.numbers(links)?,
        });
    }
    if !bytes.0.is_empty() {
        return Err("goes on after its end");
    }
    graph.check()?;
    Ok(graph)
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        self.take(N)?.try_into().map_err(|_| "ends too early")
    }

    fn number(&mut self) -> Result<u32, &'static str> {
        self.array().map(u32::from_le_bytes)
    }

    fn length(&mut self) -> Result<usize, &'static str> {
        usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|_| "is damaged")
    }

    fn numbers(&mut self, count: usize) -> Result<Vec<u32>, &'static str> {
        let (numbers, _) = self.take(count.checked_mul(4).ok_or("is damaged")?)?.as_chunks::<4>();
        Ok(numbers.iter().map(|n| u32::from_le_bytes(*n)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Graph {
        let bottom = Level::pack(Vec::new(), &[vec![1, 2], vec![0], vec![0, 1]]);
        Graph { rows: 3, dim: 2, entry: 1, levels: vec![bottom, Level::pack(vec![0, 1], &[vec![1], vec![0]])] }
    }

    fn bytes_of(graph: &Graph) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(graph, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn comes_back_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        for graph in [sample(), Graph::empty(2)] {
            save(&graph, dir.path()).unwrap();
            assert_eq!(load(dir.path(), graph.rows, 2).unwrap(), graph);
            assert!(load(dir.path(), graph.rows + 1, 2).unwrap_err().to_string().contains("the vectors are"));
        }
        let missing = load(&dir.path().join("none"), 3, 2).unwrap_err();
        assert!(missing.to_string().contains("index.engine"), "{missing}");
    }

    proptest! {
        #[test]
        fn damage_is_an_error_or_a_legal_graph(at in 0usize..200, byte: u8, cut in 0usize..200) {
            let mut bytes = bytes_of(&sample());
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(graph) = parse(&bytes) {
                prop_assert_eq!(graph.check(), Ok(()));
            }
            let cut = cut % bytes.len();
            prop_assert!(parse(&bytes_of(&sample())[..cut]).is_err());
        }
    }
}
