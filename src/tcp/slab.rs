//! Places for values, known by number, and lists through them in the order of time.
//!
//! A number stays good until its value is removed; freed places are used again, last freed first. Lists are threaded
//! through the places, so that moving an entry to the young end and taking the oldest cost the same however many there
//! are: expiry never scans a table.

/// No place.
const NIL: u32 = u32::MAX;

/// Values by number. Room is made block by block: nothing is ever moved, which is what costs most under a flood, and a
/// capture with few connections takes little.
pub(super) struct Slab<T> {
    blocks: Vec<Vec<Place<T>>>,
    free: u32,
}

struct Place<T> {
    /// Towards the old end of the list, or the next free place.
    older: u32,
    /// Towards the young end of the list.
    younger: u32,
    value: Option<T>,
}

/// A list through a [`Slab`], from old to young. A place is on at most one list; the caller says on which.
pub(super) struct TimeList {
    oldest: u32,
    youngest: u32,
    len: usize,
}

impl TimeList {
    pub(super) const fn new() -> Self {
        Self { oldest: NIL, youngest: NIL, len: 0 }
    }

    /// How many are on it.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The oldest entry.
    pub(super) fn oldest(&self) -> Option<u32> {
        (self.oldest != NIL).then_some(self.oldest)
    }
}

impl<T> Slab<T> {
    /// What one value costs, links included.
    #[cfg(test)]
    pub(super) const PLACE_SIZE: usize = size_of::<Place<T>>();

    /// Places of a block: some 64 KiB of them.
    const BLOCK: usize = 1 << ((64 << 10) / size_of::<Place<T>>()).ilog2();

    /// An empty slab.
    pub(super) const fn new() -> Self {
        const { assert!(size_of::<Place<T>>() <= 64 << 10) }
        Self { blocks: Vec::new(), free: NIL }
    }

    fn place(&self, slot: u32) -> Option<&Place<T>> {
        self.blocks.get(slot as usize / Self::BLOCK)?.get(slot as usize % Self::BLOCK)
    }

    fn place_mut(&mut self, slot: u32) -> Option<&mut Place<T>> {
        self.blocks.get_mut(slot as usize / Self::BLOCK)?.get_mut(slot as usize % Self::BLOCK)
    }

    /// Places there are, taken or free.
    fn len(&self) -> usize {
        self.blocks.last().map_or(0, |last| (self.blocks.len() - 1) * Self::BLOCK + last.len())
    }

    pub(super) fn get(&self, slot: u32) -> Option<&T> {
        self.place(slot)?.value.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.place_mut(slot)?.value.as_mut()
    }

    /// The next younger value on its list.
    pub(super) fn younger(&self, slot: u32) -> Option<u32> {
        self.place(slot).map(|place| place.younger).filter(|younger| *younger != NIL)
    }

    /// Takes a value in; it is on no list yet.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        let free = self.free;
        if let Some(place) = self.place_mut(free) {
            let next = std::mem::replace(&mut place.older, NIL);
            place.younger = NIL;
            place.value = Some(value);
            self.free = next;
            return free;
        }
        let new = Place { older: NIL, younger: NIL, value: Some(value) };
        let slot = self.len() as u32;
        match self.blocks.last_mut() {
            Some(last) if last.len() < Self::BLOCK => last.push(new),
            _ => {
                let mut block = Vec::with_capacity(Self::BLOCK);
                block.push(new);
                self.blocks.push(block);
            }
        }
        slot
    }

    /// Takes a value out of `list` and of the slab.
    pub(super) fn remove(&mut self, list: &mut TimeList, slot: u32) -> Option<T> {
        self.get(slot)?;
        self.unlink(list, slot);
        self.take(slot)
    }

    /// Takes a value that is on no list out.
    pub(super) fn take(&mut self, slot: u32) -> Option<T> {
        self.get(slot)?;
        let free = std::mem::replace(&mut self.free, slot);
        let place = self.place_mut(slot)?;
        place.older = free;
        // Last of all: so it is moved once, to where the caller wants it.
        place.value.take()
    }

    /// Puts a value that is on no list at the young end of `list`.
    pub(super) fn push(&mut self, list: &mut TimeList, slot: u32) {
        let youngest = list.youngest;
        if let Some(place) = self.place_mut(slot) {
            place.older = youngest;
            place.younger = NIL;
        }
        match self.place_mut(youngest) {
            Some(place) => place.younger = slot,
            None => list.oldest = slot,
        }
        list.youngest = slot;
        list.len += 1;
    }

    /// Takes a value off `list`, which it must be on.
    pub(super) fn unlink(&mut self, list: &mut TimeList, slot: u32) {
        let Some(place) = self.place(slot) else { return };
        let (older, younger) = (place.older, place.younger);
        match self.place_mut(older) {
            Some(place) => place.younger = younger,
            None => list.oldest = younger,
        }
        match self.place_mut(younger) {
            Some(place) => place.older = older,
            None => list.youngest = older,
        }
        list.len -= 1;
    }

    /// Moves a value on `list` to its young end.
    pub(super) fn refresh(&mut self, list: &mut TimeList, slot: u32) {
        if list.youngest != slot {
            self.unlink(list, slot);
            self.push(list, slot);
        }
    }

    /// The numbers of all values, in no order that means anything.
    pub(super) fn slots(&self) -> impl Iterator<Item = (u32, &T)> {
        self.blocks.iter().flatten().enumerate().filter_map(|(slot, place)| Some((slot as u32, place.value.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(slab: &mut Slab<u32>, list: &mut TimeList) -> Vec<u32> {
        std::iter::from_fn(|| list.oldest().and_then(|slot| slab.remove(list, slot))).collect()
    }

    #[test]
    fn a_list_gives_the_oldest_first() {
        let (mut slab, mut list) = (Slab::new(), TimeList::new());
        let slots: Vec<u32> = (0..5)
            .map(|value| {
                let slot = slab.insert(value);
                slab.push(&mut list, slot);
                slot
            })
            .collect();
        slab.refresh(&mut list, slots[0]);
        slab.refresh(&mut list, slots[3]);
        assert_eq!(slab.remove(&mut list, slots[2]), Some(2));
        assert_eq!(slab.remove(&mut list, slots[2]), None);
        assert_eq!(list.len(), 4);
        assert_eq!(drain(&mut slab, &mut list), [1, 4, 0, 3]);
        assert_eq!((list.len(), list.oldest()), (0, None));
    }

    #[test]
    fn blocks_follow_one_another() {
        let (mut slab, mut list) = (Slab::new(), TimeList::new());
        let many = 3 * Slab::<u32>::BLOCK as u32 + 5;
        for value in 0..many {
            let slot = slab.insert(value);
            assert_eq!((slot, slab.get(slot)), (value, Some(&value)));
            slab.push(&mut list, slot);
        }
        assert!(slab.slots().map(|(_, value)| *value).eq(0..many));
        assert_eq!((slab.get(many), slab.len()), (None, many as usize));
        assert!(drain(&mut slab, &mut list).into_iter().eq(0..many));
    }

    #[test]
    fn freed_places_are_used_again() {
        let (mut slab, mut list) = (Slab::new(), TimeList::new());
        for value in 0..1000 {
            let slot = slab.insert(value);
            slab.push(&mut list, slot);
            if list.len() > 3 {
                let oldest = list.oldest().unwrap();
                slab.remove(&mut list, oldest);
            }
        }
        assert_eq!(slab.len(), 4);
        assert_eq!(drain(&mut slab, &mut list), [997, 998, 999]);
    }
}
