//! A table of fixed size by hashes: what is looked up for every mail, and may be forgotten when it is full. There is no
//! list to keep in order and nothing is moved, so that a look-up touches two cache lines.

/// Ways of a set: with half of the table in use, one in twenty newcomers pushes another out.
const WAYS: usize = 4;

/// Values by hash, in sets of four; in a full set the newcomer takes the place of the one that was asked for longest ago.
#[derive(Debug)]
pub(super) struct Sets<V> {
    table: Vec<Set<V>>,
    number: usize,
    forgotten: u64,
}

/// The hash 0 means that nothing is there.
#[derive(Clone, Copy, Debug)]
struct Set<V> {
    keys: [u64; WAYS],
    /// The ways by when they were asked for, the latest first.
    order: [u8; WAYS],
    values: [V; WAYS],
}

impl<V: Copy + Default> Sets<V> {
    /// For so many values. Memory is taken when the first one comes.
    pub(super) const fn new(values: usize) -> Self {
        Self { table: Vec::new(), number: values.div_ceil(WAYS), forgotten: 0 }
    }

    /// The value of a hash, which is the latest of its set then.
    pub(super) fn touch(&mut self, key: u64) -> Option<&mut V> {
        let place = self.place(key);
        let set = self.table.get_mut(place)?;
        let way = set.find(key)?;
        set.bring_forward(way);
        Some(&mut set.values[way])
    }

    /// The value of a hash.
    pub(super) fn get(&self, key: u64) -> Option<V> {
        let set = self.table.get(self.place(key))?;
        Some(set.values[set.find(key)?])
    }

    /// Puts in a value, and the latest of its set it is.
    pub(super) fn put(&mut self, key: u64, value: V) {
        if self.table.is_empty() {
            let set = Set { keys: [0; WAYS], order: [0, 1, 2, 3], values: [V::default(); WAYS] };
            self.table.resize(self.number, set);
        }
        let place = self.place(key);
        let Some(set) = self.table.get_mut(place) else { return };
        let way = set.find(key).or_else(|| set.find(0));
        self.forgotten += u64::from(way.is_none());
        let way = way.unwrap_or(set.order[WAYS - 1].into());
        set.bring_forward(way);
        (set.keys[way], set.values[way]) = (key, value);
    }

    /// Takes a value out.
    pub(super) fn take(&mut self, key: u64) -> Option<V> {
        let place = self.place(key);
        let set = self.table.get_mut(place)?;
        let way = set.find(key)?;
        set.keys[way] = 0;
        Some(set.values[way])
    }

    /// Values that had to go.
    pub(super) const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    const fn place(&self, key: u64) -> usize {
        key as usize % self.number
    }
}

impl<V> Set<V> {
    fn find(&self, key: u64) -> Option<usize> {
        self.keys.iter().position(|known| *known == key)
    }

    fn bring_forward(&mut self, way: usize) {
        let way = way as u8;
        let mut next = way;
        for place in &mut self.order {
            let before = std::mem::replace(place, next);
            if before == way {
                break;
            }
            next = before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_asked_for_longest_ago_makes_room() {
        let mut one = Sets::new(4);
        (1..=4_u64).for_each(|n| one.put(n, n * 10));
        assert_eq!(one.touch(1), Some(&mut 10));
        one.put(5, 50);
        assert_eq!(
            ((1..=5).map(|n| one.get(n)).collect::<Vec<_>>(), one.forgotten()),
            (vec![Some(10), None, Some(30), Some(40), Some(50)], 1)
        );
        assert_eq!((one.take(3), one.get(3), one.take(3)), (Some(30), None, None));
        one.put(6, 60);
        assert_eq!((one.get(1), one.get(4), one.get(6), one.forgotten()), (Some(10), Some(40), Some(60), 1));
    }

    #[test]
    fn a_table_that_is_half_full_forgets_few() {
        let mut table = Sets::new(1 << 12);
        for n in 0..1_u64 << 11 {
            table.put(xxhash_rust::xxh3::xxh3_64(&n.to_be_bytes()), n);
        }
        assert!(table.forgotten() < 1 << 7, "{}", table.forgotten());
    }
}
