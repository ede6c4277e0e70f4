//! A small least-recently-used cache, bounded by weight in bytes.
//!
//! Own code because it is forty lines: a map, and a second map ordered by the tick of last use. Both
//! users (decoded frames, parsed map objects) hold few thousand entries.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// Values by key; the least recently used go first once the weight is over its limit.
pub(crate) struct Cache<K, V> {
    weight_max: usize,
    inner: Mutex<Inner<K, V>>,
}

struct Inner<K, V> {
    values: HashMap<K, Held<V>>,
    by_use: BTreeMap<u64, K>,
    tick: u64,
    weight: usize,
}

struct Held<V> {
    value: V,
    tick: u64,
    weight: usize,
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    pub(crate) fn new(weight_max: usize) -> Self {
        let inner = Inner { values: HashMap::new(), by_use: BTreeMap::new(), tick: 0, weight: 0 };
        Self { weight_max, inner: Mutex::new(inner) }
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.tick += 1;
        let tick = inner.tick;
        let held = inner.values.get_mut(key)?;
        let before = std::mem::replace(&mut held.tick, tick);
        let value = held.value.clone();
        inner.by_use.remove(&before);
        inner.by_use.insert(tick, key.clone());
        Some(value)
    }

    pub(crate) fn put(&self, key: K, value: V, weight: usize) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.tick += 1;
        let tick = inner.tick;
        inner.weight += weight;
        if let Some(old) = inner.values.insert(key.clone(), Held { value, tick, weight }) {
            inner.weight -= old.weight;
            inner.by_use.remove(&old.tick);
        }
        inner.by_use.insert(tick, key);
        while inner.weight > self.weight_max
            && let Some((_, oldest)) = inner.by_use.pop_first()
        {
            let gone = inner.values.remove(&oldest).map_or(0, |held| held.weight);
            inner.weight -= gone;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_value_goes_first() {
        let cache = Cache::new(30);
        for key in 1..=3 {
            cache.put(key, key * 10, 10);
        }
        assert_eq!(cache.get(&1), Some(10));
        cache.put(4, 40, 10);
        assert_eq!([1, 2, 3, 4].map(|key| cache.get(&key)), [Some(10), None, Some(30), Some(40)]);
    }

    #[test]
    fn a_value_put_again_is_weighed_once() {
        let cache = Cache::new(30);
        for _ in 0..10 {
            cache.put("same", 1, 10);
        }
        cache.put("other", 2, 20);
        assert_eq!((cache.get(&"same"), cache.get(&"other")), (Some(1), Some(2)));
    }
}
