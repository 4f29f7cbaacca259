//! One lookup that waits for its keys, whoever looks them up.

use std::future::{Future, poll_fn};
use std::task::{Poll, Waker};

use smallvec::SmallVec;

use crate::Outcome;
use crate::sync::{Arc, Mutex, lock};

/// What a waiter is told of one of its keys.
#[derive(Debug)]
pub(super) enum Told<V> {
    /// Its outcome.
    Outcome(Outcome<V>),
    /// The task that looked it up is gone, with its runtime: it has to be asked again.
    Again,
    /// What was found holds for another caller only: it has to be asked again, by itself.
    Alone,
}

/// Slots for the outcomes of one lookup.
pub(super) struct Waiter<V>(Mutex<Slots<V>>);

struct Slots<V> {
    told: SmallVec<[Option<Told<V>>; 1]>,
    /// How many are empty.
    left: usize,
    waker: Option<Waker>,
    /// The lookup is gone.
    left_alone: bool,
}

impl<V> Waiter<V> {
    /// With so many empty slots.
    pub(super) fn new(slots: usize) -> Self {
        let told = std::iter::repeat_with(|| None).take(slots).collect();
        Waiter(Mutex::new(Slots { told, left: slots, waker: None, left_alone: false }))
    }

    /// Fills slots, and wakes the lookup if none is empty any more. A slot is told once; what is told of it later is void.
    /// Says how many it was told in vain, as the lookup is gone.
    pub(super) fn tell(&self, told: impl Iterator<Item = (u32, Told<V>)>) -> usize {
        let mut slots = lock(&self.0);
        if slots.left_alone {
            // What is told in vain is dropped with no lock held: it may be the last of a user's rows.
            drop(slots);
            return told.count();
        }
        for (slot, told) in told {
            if let Some(place @ None) = slots.told.get_mut(slot as usize) {
                *place = Some(told);
                slots.left -= 1;
            }
        }
        let waker = if slots.left == 0 { slots.waker.take() } else { None };
        drop(slots);
        if let Some(waker) = waker {
            waker.wake();
        }
        0
    }

    /// Waits until every slot is filled.
    ///
    /// # Cancel safety
    /// Nothing is lost if it is dropped.
    pub(super) fn all(&self) -> impl Future<Output = ()> + Send + '_
    where
        V: Send + Sync,
    {
        poll_fn(|cx| {
            let mut slots = lock(&self.0);
            if slots.left == 0 {
                return Poll::Ready(());
            }
            match &mut slots.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                empty => *empty = Some(cx.waker().clone()),
            }
            Poll::Pending
        })
    }

    /// Whether the lookup is gone.
    pub(super) fn is_left_alone(&self) -> bool {
        lock(&self.0).left_alone
    }
}

/// The lookup's own hold on its waiter: when it is dropped, nobody waits there any more.
pub(super) struct Waiting<V>(pub(super) Arc<Waiter<V>>);

impl<V> Waiting<V> {
    /// What the slots hold; empty ones are late.
    pub(super) fn take(self) -> SmallVec<[Option<Told<V>>; 1]> {
        self.leave()
    }

    /// Leaves, with what the slots hold, in one step: nobody must find them taken and the lookup there.
    fn leave(&self) -> SmallVec<[Option<Told<V>>; 1]> {
        let mut slots = lock(&self.0.0);
        slots.left_alone = true;
        let (told, waker) = (std::mem::take(&mut slots.told), slots.waker.take());
        drop(slots);
        drop(waker);
        told
    }
}

impl<V> Drop for Waiting<V> {
    fn drop(&mut self) {
        drop(self.leave());
    }
}
