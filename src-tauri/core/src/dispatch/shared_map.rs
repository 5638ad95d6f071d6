//! A map of which a copy costs nothing, so that a decision can be made on a copy of the whole state and dropped when it
//! can't be stored.

use core::borrow::Borrow;

use rpds::RedBlackTreeMapSync;

/// An ordered map that shares what it has in common with its copies.
#[derive(Clone, Debug)]
pub(super) struct SharedMap<K: Ord, V>(RedBlackTreeMapSync<K, V>);

impl<K: Ord, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self(RedBlackTreeMapSync::new_sync())
    }
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    pub(super) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(key)
    }

    /// Only the entry and the way to it are copied.
    pub(super) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.0.get_mut(key)
    }

    pub(super) fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.contains_key(key)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        self.0.insert_mut(key, value);
    }

    pub(super) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let value = self.0.get(key).cloned()?;
        self.0.remove_mut(key);
        Some(value)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.0.iter()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }

    pub(super) fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(super) fn len(&self) -> usize {
        self.0.size()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys of the entries that are meant, to change them one by one.
    pub(super) fn keys_where(&self, meant: impl Fn(&K, &V) -> bool) -> Vec<K> {
        self.0.iter().filter(|(key, value)| meant(key, value)).map(|(key, _)| key.clone()).collect()
    }
}

impl<V: Clone + Default> SharedMap<String, V> {
    /// The entry of this name; a new one when there is none.
    pub(super) fn entry(&mut self, name: &str) -> &mut V {
        if !self.0.contains_key(name) {
            self.0.insert_mut(name.to_owned(), V::default());
        }
        #[expect(clippy::expect_used, reason = "it was just put there")]
        self.0.get_mut(name).expect("an entry that is there")
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SharedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}
