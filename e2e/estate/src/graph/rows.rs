//! The rows of a list without making them: positions in the estate, of which a page takes the few that it needs.

use std::sync::Arc;

use super::render::Row;
use crate::estate::Estate;

/// How a row is made of its position.
pub(super) type At<'a> = fn(&'a Estate, usize) -> Option<Row<'a>>;

/// All rows of a list.
pub(super) enum Rows<'a> {
    /// A short list.
    List(Vec<Row<'a>>),
    /// Positions, ascending, and how a row is made of one.
    Positions { estate: &'a Estate, positions: Positions, at: At<'a> },
}

/// Which positions.
pub(super) enum Positions {
    /// The first so many: all of them.
    All(usize),
    These(Arc<[usize]>),
}

impl<'a> Rows<'a> {
    pub(super) fn all(estate: &'a Estate, count: usize, at: At<'a>) -> Self {
        Self::Positions { estate, positions: Positions::All(count), at }
    }

    pub(super) fn these(estate: &'a Estate, positions: &Arc<[usize]>, at: At<'a>) -> Self {
        Self::Positions { estate, positions: Positions::These(Arc::clone(positions)), at }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::List(rows) => rows.len(),
            Self::Positions { positions: Positions::All(count), .. } => *count,
            Self::Positions { positions: Positions::These(positions), .. } => positions.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Row<'a>> {
        match self {
            Self::List(rows) => rows.get(index).copied(),
            Self::Positions { estate, positions, at } => at(estate, positions.get(index)?),
        }
    }

    fn iter(&self) -> impl Iterator<Item = Row<'a>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// The first `count` rows only.
    pub(super) fn truncate(&mut self, count: usize) {
        match self {
            Self::List(rows) => rows.truncate(count),
            Self::Positions { positions, .. } => {
                *positions = match positions {
                    Positions::All(all) => Positions::All(count.min(*all)),
                    Positions::These(these) => Positions::These(these.get(..count).unwrap_or(these).into()),
                }
            }
        }
    }

    /// The rows that `keep` wants. Of positions, what is left is kept under `name`, for the next page.
    pub(super) fn keep(self, name: &str, keep: impl Fn(&Row<'a>) -> bool) -> Self {
        match self {
            Self::List(rows) => Self::List(rows.into_iter().filter(keep).collect()),
            Self::Positions { estate, positions, at } => {
                let wanted = |position: &usize| at(estate, *position).is_some_and(|row| keep(&row));
                let left = estate.filtered_positions(name, || match &positions {
                    Positions::All(count) => (0..*count).filter(wanted).collect(),
                    Positions::These(these) => these.iter().copied().filter(wanted).collect(),
                });
                Self::these(estate, &left, at)
            }
        }
    }

    /// The rows at the wanted positions of the estate, as far as they are here.
    pub(super) fn pick(self, mut wanted: Vec<usize>) -> Self {
        match self {
            Self::List(rows) => Self::List(rows),
            Self::Positions { estate, positions, at } => {
                wanted.sort_unstable();
                wanted.dedup();
                wanted.retain(|position| positions.contains(*position));
                Self::these(estate, &wanted.into(), at)
            }
        }
    }

    /// Leaves objects out and says which of them would have been here.
    pub(super) fn without(self, estate: &'a Estate, hidden: &[String]) -> (Self, Vec<String>) {
        if hidden.is_empty() {
            return (self, Vec::new());
        }
        let is_hidden = |row: &Row<'a>| hidden.iter().any(|id| *id == row.id(estate));
        let (missed, rows): (Vec<Row<'a>>, Vec<Row<'a>>) = self.iter().partition(is_hidden);
        (Self::List(rows), missed.into_iter().map(|row| row.id(estate).into_owned()).collect())
    }

    /// The other way round.
    pub(super) fn reverse(self) -> Self {
        Self::List(self.iter().collect::<Vec<_>>().into_iter().rev().collect())
    }
}

impl Positions {
    fn get(&self, index: usize) -> Option<usize> {
        match self {
            Self::All(count) => (index < *count).then_some(index),
            Self::These(these) => these.get(index).copied(),
        }
    }

    fn contains(&self, position: usize) -> bool {
        match self {
            Self::All(count) => position < *count,
            Self::These(these) => these.binary_search(&position).is_ok(),
        }
    }
}
