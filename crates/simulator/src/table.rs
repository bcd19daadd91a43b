//! Insert-only rows, found by id or by a named index, and listed newest first as both vendors do.
//!
//! Not here: deletion. Neither vendor forgets a movement of money.

use std::collections::HashMap;

/// A row with a creation time.
pub(crate) trait Dated {
    /// Microseconds UTC.
    fn made_at(&self) -> i64;
}

/// Rows in order of creation.
#[derive(Debug)]
pub(crate) struct Table<T> {
    rows: Vec<T>,
    by_id: HashMap<String, usize>,
    index: HashMap<String, Vec<usize>>,
}

/// The requested part of a list.
#[derive(Debug, Default)]
pub(crate) struct Window {
    pub(crate) limit: usize,
    /// Only rows older than this one.
    pub(crate) after: Option<String>,
    /// Only rows newer than this one; the nearest are taken first.
    pub(crate) before: Option<String>,
    /// Only rows made at or after this time (microseconds).
    pub(crate) from: Option<i64>,
    /// Only rows made before this time (microseconds).
    pub(crate) until: Option<i64>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { rows: Vec::new(), by_id: HashMap::new(), index: HashMap::new() }
    }
}

impl<T> Table<T> {
    /// Adds a row, found by `id` and listed under every one of `keys`; returns its position.
    pub(crate) fn add(&mut self, id: &str, keys: &[String], row: T) -> usize {
        let position = self.rows.len();
        self.rows.push(row);
        self.by_id.insert(id.to_owned(), position);
        for key in keys {
            self.tag(position, key);
        }
        position
    }

    /// Adds an existing row to another list.
    pub(crate) fn tag(&mut self, position: usize, key: &str) {
        match self.index.get_mut(key) {
            Some(list) => list.push(position),
            None => {
                self.index.insert(key.to_owned(), vec![position]);
            }
        }
    }

    pub(crate) fn position(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    pub(crate) fn find(&self, id: &str) -> Option<&T> {
        self.rows.get(self.position(id)?)
    }

    pub(crate) fn rows(&self) -> &[T] {
        &self.rows
    }

    pub(crate) fn at(&self, position: usize) -> &T {
        &self.rows[position]
    }

    pub(crate) fn at_mut(&mut self, position: usize) -> &mut T {
        &mut self.rows[position]
    }

    /// The positions in one list, oldest first.
    pub(crate) fn listed(&self, key: &str) -> &[usize] {
        self.index.get(key).map_or(&[], Vec::as_slice)
    }
}

impl<T: Dated> Table<T> {
    /// One page of the list `key` (or of everything), newest first, and whether more follow.
    pub(crate) fn page(
        &self,
        key: Option<&str>,
        window: &Window,
        keep: impl Fn(&T) -> bool,
    ) -> (Vec<&T>, bool) {
        let listed = key.map(|key| self.listed(key));
        let count = listed.map_or(self.rows.len(), <[usize]>::len);
        let nth = |n: usize| &self.rows[listed.map_or(n, |list| list[n])];
        // A row's rank in this list: positions only increase along it.
        let rank = |id: &str| {
            let position = self.position(id)?;
            Some(listed.map_or(position, |list| list.partition_point(|p| *p < position)))
        };
        let mut found = Vec::new();
        let fits = |row: &T| window.until.is_none_or(|until| row.made_at() < until) && keep(row);
        let too_old = |row: &T| window.from.is_some_and(|from| row.made_at() < from);
        if let Some(before) = window.before.as_deref().and_then(rank) {
            let newer = (before + 1..count).map(nth).filter(|row| !too_old(row) && fits(row));
            found.extend(newer.take(window.limit + 1));
        } else {
            let end = window.after.as_deref().and_then(rank).unwrap_or(count);
            let older = (0..end).rev().map(nth).take_while(|row| !too_old(row)).filter(|row| fits(row));
            found.extend(older.take(window.limit + 1));
        }
        let more = found.len() > window.limit;
        found.truncate(window.limit);
        if window.before.is_some() {
            found.reverse();
        }
        (found, more)
    }
}
