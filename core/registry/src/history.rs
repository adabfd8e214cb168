//! A queue of bounded length, oldest first, that clones in O(1).

use crate::Map;

/// What has passed, oldest first; when full, the oldest item makes room.
#[derive(Clone, Debug)]
pub struct History<T> {
    items: Map<u64, T>,
    /// Number of the next item. Numbers only give the order: they are no part of the state
    /// that snapshots and digests see.
    next: u64,
}

impl<T> Default for History<T> {
    fn default() -> Self {
        Self {
            items: Map::new_sync(),
            next: 0,
        }
    }
}

impl<T> History<T> {
    /// Adds an item and drops the oldest ones beyond `max`.
    pub(crate) fn push(&mut self, item: T, max: usize) {
        self.items.insert_mut(self.next, item);
        self.next += 1;
        while self.items.size() > max {
            let oldest = self.items.first().map(|(number, _)| *number);
            oldest.inspect(|number| {
                self.items.remove_mut(number);
            });
        }
    }

    /// The items, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        self.items.values()
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.items.size()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_item_makes_room() {
        let mut history = History::default();
        for number in 0..5 {
            history.push(number, 3);
        }
        assert_eq!(history.iter().copied().collect::<Vec<_>>(), [2, 3, 4]);
        history.push(5, 0);
        assert!(history.is_empty());
    }
}
