//! Rows that are added while others read.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A list that only grows. Readers take no lock and never see a row before it is whole; what they hold stays where it is.
#[derive(Debug, Clone)]
pub struct Appended<T> {
    rows: boxcar::Vec<T>,
    len: Published,
}

/// The number of rows that readers may ask for.
#[derive(Debug, Default)]
struct Published(AtomicUsize);

impl Clone for Published {
    fn clone(&self) -> Self {
        Self(AtomicUsize::new(self.0.load(Ordering::Acquire)))
    }
}

impl<T> Default for Appended<T> {
    fn default() -> Self {
        Self { rows: boxcar::Vec::new(), len: Published::default() }
    }
}

impl<T> Appended<T> {
    /// Adds a row and returns its place. Only one thread at a time may add: the caller holds its own lock.
    pub fn push(&self, row: T) -> usize {
        let at = self.rows.push(row);
        self.len.0.store(at + 1, Ordering::Release);
        at
    }

    /// Number of rows.
    #[inline]
    pub fn len(&self) -> usize {
        self.len.0.load(Ordering::Acquire)
    }

    /// Whether nothing was added.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A row.
    #[inline]
    pub fn get(&self, at: usize) -> Option<&T> {
        self.rows.get(at)
    }

    /// All rows, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len()).filter_map(|at| self.get(at))
    }
}

impl<T> std::ops::Index<usize> for Appended<T> {
    type Output = T;

    /// # Panics
    /// If the row was not added.
    #[inline]
    fn index(&self, at: usize) -> &T {
        &self.rows[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_see_whole_rows_while_others_come() {
        let rows = Appended::default();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..5_000usize).for_each(|at| assert_eq!(rows.push(vec![at; 3]), at)));
            scope.spawn(|| {
                while rows.len() < 5_000 {
                    let len = rows.len();
                    assert_eq!(rows.iter().take(len).count(), len);
                    assert!(len == 0 || rows[len - 1] == [len - 1; 3]);
                }
            });
        });
        assert!(rows.get(5_000).is_none() && !rows.is_empty());
    }
}
