//! One lookup in the table: what it asks, and what it is told of its keys, whoever looks them up.

use std::task::{Context, Waker};

use smallvec::SmallVec;

use super::flight::PartOf;
use super::service::Shared;
use crate::causes::Causes;
use crate::lookup::Extras;
use crate::sync::{Arc, Mutex, lock};
use crate::{Outcome, Terms};

/// What a lookup is told of one of its keys.
#[derive(Debug)]
pub(super) enum Told<V> {
    /// Its outcome.
    Outcome(Outcome<V>),
    /// The task that looked it up is gone, with its runtime: it has to be asked again.
    Again,
    /// What was found holds for another caller only: it has to be asked again, by itself.
    Alone,
}

/// What a lookup is told of its keys; what is not known by its deadline is late.
pub(super) type AllTold<V> = SmallVec<[Option<Told<V>>; 1]>;

/// One lookup. Who waits, the flights it follows, and the round of what it leads share it: one piece, as it goes from core to
/// core.
pub(super) struct Asked<K, V> {
    pub(super) keys: SmallVec<[K; 1]>,
    /// With a deadline.
    pub(super) terms: Terms,
    pub(super) extras: Option<std::sync::Arc<Extras>>,
    pub(super) causes: Causes,
    /// The span of the round of what it leads, for those who follow; `None` if nobody is recorded.
    pub(super) part_of: Option<PartOf>,
    /// What it is asked of.
    pub(super) of: std::sync::Arc<Shared<K, V>>,
    slots: Mutex<Slots<V>>,
}

/// How far a lookup is.
pub(super) enum Progress<V> {
    /// Every slot is filled: it has left.
    Told(AllTold<V>),
    /// It waits, and is woken by its deadline at the latest.
    Watched,
    /// It waits, and has to watch its deadline itself.
    Unwatched,
}

struct Slots<V> {
    told: AllTold<V>,
    /// How many are empty.
    left: usize,
    waker: Option<Waker>,
    /// The rounds of its keys look after it until its deadline: it needs no timer.
    watched: bool,
    /// The lookup is gone.
    left_alone: bool,
}

impl<K, V> Asked<K, V> {
    /// By the task at hand; with an empty slot for each key.
    pub(super) fn new(
        of: std::sync::Arc<Shared<K, V>>,
        keys: SmallVec<[K; 1]>,
        terms: Terms,
        extras: Option<std::sync::Arc<Extras>>,
    ) -> Self {
        let causes = Causes::current();
        let part_of = causes.span().map(|_| PartOf::default());
        let mut told = AllTold::with_capacity(keys.len());
        keys.iter().for_each(|_| told.push(None));
        let slots = Slots { left: told.len(), told, waker: None, watched: true, left_alone: false };
        Asked { keys, terms, extras, causes, part_of, of, slots: Mutex::new(slots) }
    }

    /// Fills slots, and wakes the lookup if none is empty any more. A slot is told once; what is told of it later is void.
    /// Says how many it was told in vain, as the lookup is gone.
    pub(super) fn tell(&self, told: impl Iterator<Item = (u32, Told<V>)>) -> usize {
        let mut slots = lock(&self.slots);
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

    /// Lets it look after its own deadline.
    pub(super) fn unwatch(&self) {
        let mut slots = lock(&self.slots);
        let waker = if std::mem::take(&mut slots.watched) { slots.waker.take() } else { None };
        drop(slots);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether the lookup is gone.
    pub(super) fn is_left_alone(&self) -> bool {
        lock(&self.slots).left_alone
    }
}

/// The lookup's own hold: when it is dropped, nobody waits there any more.
pub(super) struct Waiting<K, V> {
    pub(super) asked: Arc<Asked<K, V>>,
    /// What the slots say too: here it is read without their lock.
    has_left: bool,
}

impl<K, V> Waiting<K, V> {
    pub(super) fn new(asked: Arc<Asked<K, V>>) -> Self {
        Waiting { asked, has_left: false }
    }

    /// How far it is; whoever asked last is woken when that changes.
    pub(super) fn progress(&mut self, cx: &mut Context<'_>) -> Progress<V> {
        let mut slots = lock(&self.asked.slots);
        if slots.left == 0 {
            self.has_left = true;
            return Progress::Told(slots.leave());
        }
        match &mut slots.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            empty => *empty = Some(cx.waker().clone()),
        }
        if slots.watched { Progress::Watched } else { Progress::Unwatched }
    }

    /// Leaves, with what the slots hold; empty ones are late.
    pub(super) fn leave(&mut self) -> AllTold<V> {
        self.has_left = true;
        let mut slots = lock(&self.asked.slots);
        let (told, waker) = (slots.leave(), slots.waker.take());
        drop(slots);
        drop(waker);
        told
    }
}

impl<V> Slots<V> {
    /// In one step with taking them: nobody must find them taken and the lookup there.
    fn leave(&mut self) -> AllTold<V> {
        self.left_alone = true;
        std::mem::take(&mut self.told)
    }
}

impl<K, V> Drop for Waiting<K, V> {
    fn drop(&mut self) {
        if !self.has_left {
            drop(self.leave());
        }
    }
}
