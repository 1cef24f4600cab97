//! The numbers whose distributions are compared with those of training: the ranker's heads and most of what it reads.

use super::schema::{CROSS, ITEM, TASKS, USER};

/// Columns of the user's row that say what the clock says: they differ between any two hours, and nothing has drifted.
const CLOCK: [&str; 4] = ["hour_sin", "hour_cos", "weekday_sin", "weekday_cos"];

/// Where a number stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// A probability of the ranker.
    Head,
    /// The user's row: once an answer.
    User,
    /// The item's row.
    Item,
    /// The row of user by item.
    Cross,
}

/// One number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Watched {
    /// The head's or column's name, unique.
    pub name: &'static str,
    /// Where it stands.
    pub block: Block,
    /// At which place of that row.
    pub at: usize,
}

/// All of them: heads, then user, item and cross columns in schema order. Vectors are left out: their numbers mean nothing
/// by themselves, and what the ranker makes of them shows in `user_similarity` and the heads.
pub(super) fn watched() -> Vec<Watched> {
    let heads = TASKS.iter().enumerate().map(|(at, name)| Watched { name, block: Block::Head, at });
    let blocks = [(Block::User, USER), (Block::Item, ITEM), (Block::Cross, CROSS)];
    let columns = blocks.into_iter().flat_map(|(block, columns)| {
        columns.iter().enumerate().map(move |(at, column)| Watched { name: column.name, block, at })
    });
    heads.chain(columns.filter(|column| !CLOCK.contains(&column.name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_the_clock_is_left_out() {
        let all = watched();
        assert_eq!(all.len(), TASKS.len() + USER.len() + ITEM.len() + CROSS.len() - CLOCK.len());
        let mut names: Vec<&str> = all.iter().map(|one| one.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all.len());
    }
}
