//! The limit on parallel scans, shared between estates: who may start next.
//!
//! Pure and in memory. A place is taken from the decision to scan until its result is harvested. Estates take turns,
//! so that an estate with a thousand instances cannot keep another estate's single one waiting.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// An instance: its estate and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The estate's namespace.
    pub estate: String,
    /// Name of the `ConnectorInstance`.
    pub name: String,
}

/// Places and the queue for them.
#[derive(Debug)]
pub struct Places {
    limit: usize,
    taken: BTreeSet<Key>,
    waiting: BTreeMap<String, VecDeque<Key>>,
    /// The estate that was served last: the next in alphabetical order has its turn.
    served: Option<String>,
}

impl Places {
    /// At least one place, whatever the configuration says.
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), taken: BTreeSet::new(), waiting: BTreeMap::new(), served: None }
    }

    /// Counts a scan that was already under way, even above the limit.
    pub fn occupy(&mut self, key: Key) {
        self.unqueue(&key);
        self.taken.insert(key);
    }

    /// Asks for a place. True when it has one; otherwise it waits for its turn.
    pub fn request(&mut self, key: &Key) -> bool {
        if self.taken.contains(key) {
            return true;
        }
        let queue = self.waiting.entry(key.estate.clone()).or_default();
        if !queue.contains(key) {
            queue.push_back(key.clone());
        }
        self.serve();
        self.taken.contains(key)
    }

    /// Gives up a place or the wait for one. Returns those whose turn it became.
    pub fn release(&mut self, key: &Key) -> Vec<Key> {
        self.unqueue(key);
        if self.taken.remove(key) { self.serve() } else { Vec::new() }
    }

    /// Scans under way.
    pub fn taken(&self) -> usize {
        self.taken.len()
    }

    /// Instances that wait for a place.
    pub fn waiting(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }

    fn unqueue(&mut self, key: &Key) {
        if let Some(queue) = self.waiting.get_mut(&key.estate) {
            queue.retain(|k| k != key);
            if queue.is_empty() {
                self.waiting.remove(&key.estate);
            }
        }
    }

    fn serve(&mut self) -> Vec<Key> {
        let mut granted = Vec::new();
        while self.taken.len() < self.limit
            && let Some(key) = self.next()
        {
            self.unqueue(&key);
            self.served = Some(key.estate.clone());
            self.taken.insert(key.clone());
            granted.push(key);
        }
        granted
    }

    fn next(&self) -> Option<Key> {
        let after = |estate: &&String| self.served.as_ref().is_none_or(|served| *estate > served);
        let estate = self.waiting.keys().find(after).or_else(|| self.waiting.keys().next())?;
        self.waiting.get(estate)?.front().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(estate: &str, name: &str) -> Key {
        Key { estate: estate.to_owned(), name: name.to_owned() }
    }

    #[test]
    fn never_more_than_the_limit() {
        let mut places = Places::new(2);
        assert!(places.request(&key("a", "1")));
        assert!(places.request(&key("a", "2")));
        assert!(!places.request(&key("a", "3")));
        assert!(places.request(&key("a", "1")), "asking again keeps the place");
        assert_eq!((places.taken(), places.waiting()), (2, 1));
    }

    #[test]
    fn estates_take_turns() {
        let mut places = Places::new(1);
        assert!(places.request(&key("a", "0")));
        for n in 1..=50 {
            assert!(!places.request(&key("a", &n.to_string())));
        }
        assert!(!places.request(&key("b", "1")));
        assert!(!places.request(&key("c", "1")));
        let mut order = Vec::new();
        let mut holder = key("a", "0");
        for _ in 0..5 {
            holder = places.release(&holder).remove(0);
            order.push(format!("{}{}", holder.estate, holder.name));
        }
        assert_eq!(order, ["b1", "c1", "a1", "a2", "a3"]);
    }

    #[test]
    fn leaving_the_queue_wakes_nobody_and_leaving_a_place_wakes_one() {
        let mut places = Places::new(1);
        assert!(places.request(&key("a", "1")));
        assert!(!places.request(&key("a", "2")));
        assert!(!places.request(&key("a", "3")));
        assert_eq!(places.release(&key("a", "2")), []);
        assert_eq!(places.release(&key("a", "1")), [key("a", "3")]);
        assert_eq!(places.release(&key("z", "unknown")), []);
    }

    #[test]
    fn scans_found_under_way_count() {
        let mut places = Places::new(2);
        for n in 0..4 {
            places.occupy(key("a", &n.to_string()));
        }
        assert!(!places.request(&key("b", "1")));
        assert_eq!(places.release(&key("a", "0")), [], "still above the limit");
        assert_eq!(places.release(&key("a", "1")), []);
        assert_eq!(places.release(&key("a", "2")), [key("b", "1")]);
    }

    #[test]
    fn a_limit_of_zero_is_one() {
        assert!(Places::new(0).request(&key("a", "1")));
    }
}
