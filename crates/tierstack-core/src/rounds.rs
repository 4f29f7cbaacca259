//! Rounds: how what is asked concurrently becomes few round trips. Pure.
//!
//! 1. A lone item goes at once.
//! 2. While a round trip is under way, items gather: for as long as it takes, but no longer than a set time for each that
//!    is under way, and no more than fill a batch. So a burst becomes few rounds, and a slow one holds nobody up for long.
//! 3. No more round trips are under way than the limit.
//! 4. Where round trips are short, none takes more than half of many keys: while what is below looks one half up, the other
//!    half is sent, or told. All in one would have each side wait for the other. What it leaves goes whole: halved again and
//!    again, a burst would end in ever smaller rounds.

use std::collections::VecDeque;
use std::time::Duration;

/// How rounds are bounded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Most keys in one round, unless one item has more.
    pub(crate) batch: usize,
    /// Most rounds under way at once.
    pub(crate) in_flight: usize,
    /// As long as fewer rounds than these are under way, an item waits for nothing.
    pub(crate) at_once: usize,
    /// While so many are, items gather this long at most for each of them.
    pub(crate) gather_for: Duration,
    /// A round of more keys than these takes no more than half of those that wait or are looked up.
    pub(crate) whole: usize,
}

/// What whoever changed the queue has to start.
#[must_use = "a round that is not started keeps its place for good"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Nothing: what waits will be taken by a round that is there already.
    Nothing,
    /// A round: its place is taken.
    Round,
    /// A timer of `gather_for`, at whose end to call [`Rounds::gathered`].
    Timer,
}

/// Items that wait for a round, and how many rounds are under way.
#[derive(Debug)]
pub(crate) struct Rounds<T> {
    waiting: VecDeque<(usize, T)>,
    /// Keys of the items that wait.
    keys: usize,
    under_way: usize,
    /// Keys that those under way have taken.
    looked_up: usize,
    /// The round before left what the next one takes whole.
    halved: bool,
    /// Of those under way, how many have not taken their items yet.
    starting: usize,
    gathering: bool,
    limits: Limits,
}

impl<T> Rounds<T> {
    pub(crate) fn new(limits: Limits) -> Self {
        Rounds {
            waiting: VecDeque::new(),
            keys: 0,
            under_way: 0,
            looked_up: 0,
            halved: false,
            starting: 0,
            gathering: false,
            limits,
        }
    }

    /// How long the timer is that is begun now.
    pub(crate) fn gather_for(&self) -> Duration {
        self.limits.gather_for * u32::try_from(self.under_way).unwrap_or(u32::MAX)
    }

    /// How many keys wait.
    pub(crate) fn waiting_keys(&self) -> usize {
        self.keys
    }

    /// Whether an item that is added now is taken at once, by a round that starts; unless it doesn't fit there.
    pub(crate) fn takes_at_once(&self) -> bool {
        self.starting > 0 || self.under_way < self.limits.at_once.min(self.limits.in_flight)
    }

    /// The items that wait, the oldest first.
    pub(crate) fn waiting_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.waiting.iter_mut().map(|(_, item)| item)
    }

    /// Adds an item of so many keys.
    pub(crate) fn push(&mut self, keys: usize, item: T) -> Begin {
        self.waiting.push_back((keys, item));
        self.keys += keys;
        self.next()
    }

    /// The items of a round that was begun: the oldest, and as many more of its kind as fit, in their order. Their keys are to
    /// be given back by [`ended`](Self::ended).
    pub(crate) fn take(&mut self, of_a_kind: impl Fn(&T, &T) -> bool) -> (Vec<T>, Begin) {
        self.starting -= 1;
        let mut taken: Vec<T> = Vec::with_capacity(self.waiting.len());
        let most = self.most_keys();
        let mut keys = 0;
        let mut left = VecDeque::new();
        while let Some((size, item)) = self.waiting.pop_front() {
            let fits = match taken.first() {
                None => true,
                Some(first) => keys + size <= most && of_a_kind(first, &item),
            };
            if fits {
                keys += size;
                taken.push(item);
            } else {
                left.push_back((size, item));
            }
            if keys >= most {
                break;
            }
        }
        // Those that stay go back to the front of the same queue: it keeps its room for what comes.
        while let Some(item) = left.pop_back() {
            self.waiting.push_front(item);
        }
        self.keys -= keys;
        self.looked_up += keys;
        self.halved = most < self.limits.batch && !self.waiting.is_empty();
        (taken, self.next())
    }

    /// Most keys of a round that begins now.
    fn most_keys(&self) -> usize {
        if self.halved {
            return self.limits.batch;
        }
        let half = (self.keys + self.looked_up).div_ceil(2);
        half.max(self.limits.whole).min(self.limits.batch)
    }

    /// A round trip of so many keys ended. What waits goes in the next one, at once.
    pub(crate) fn ended(&mut self, keys: usize) -> Begin {
        self.under_way -= 1;
        self.looked_up -= keys;
        self.start_if_waiting()
    }

    /// The timer ended.
    pub(crate) fn gathered(&mut self) -> Begin {
        self.gathering = false;
        self.start_if_waiting()
    }

    fn next(&mut self) -> Begin {
        if self.under_way < self.limits.at_once || self.keys >= self.limits.batch {
            return self.start_if_waiting();
        }
        let nobody_comes = self.starting == 0 && self.under_way < self.limits.in_flight;
        if self.waiting.is_empty() || !nobody_comes || self.gathering {
            return Begin::Nothing;
        }
        self.gathering = true;
        Begin::Timer
    }

    fn start_if_waiting(&mut self) -> Begin {
        if self.waiting.is_empty() || self.starting > 0 || self.under_way >= self.limits.in_flight {
            return Begin::Nothing;
        }
        self.under_way += 1;
        self.starting += 1;
        Begin::Round
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(batch: usize, in_flight: usize) -> Rounds<char> {
        Rounds::new(Limits {
            batch,
            in_flight,
            at_once: 1,
            gather_for: Duration::from_millis(1),
            whole: usize::MAX,
        })
    }

    fn take(rounds: &mut Rounds<char>) -> (String, Begin) {
        let (taken, begin) = rounds.take(|a, b| a.is_lowercase() == b.is_lowercase());
        (taken.into_iter().collect(), begin)
    }

    #[test]
    fn a_lone_item_goes_at_once_and_others_gather_behind_it() {
        let mut rounds = rounds(10, 2);
        assert_eq!(rounds.push(1, 'a'), Begin::Round);
        assert_eq!(rounds.push(1, 'b'), Begin::Nothing, "the round that starts takes it too");
        assert_eq!(take(&mut rounds), ("ab".into(), Begin::Nothing));
        assert_eq!(rounds.push(1, 'c'), Begin::Timer);
        assert_eq!(rounds.push(1, 'd'), Begin::Nothing, "one timer is enough");
        assert_eq!(rounds.ended(2), Begin::Round, "what waits goes with the end of a round");
        assert_eq!(take(&mut rounds), ("cd".into(), Begin::Nothing));
        assert_eq!(rounds.gathered(), Begin::Nothing, "nothing is left for the timer");
        assert_eq!(rounds.ended(2), Begin::Nothing);
        assert_eq!(rounds.push(1, 'e'), Begin::Round);
    }

    #[test]
    fn the_timer_and_a_full_batch_begin_further_rounds_up_to_the_limit() {
        let mut rounds = rounds(2, 3);
        assert_eq!(rounds.push(2, 'a'), Begin::Round);
        assert_eq!(take(&mut rounds).0, "a");
        assert_eq!(rounds.push(1, 'b'), Begin::Timer);
        assert_eq!(rounds.push(1, 'c'), Begin::Round, "a full batch waits for no timer");
        assert_eq!(take(&mut rounds), ("bc".into(), Begin::Nothing));
        assert_eq!(rounds.push(1, 'd'), Begin::Nothing, "the timer runs already");
        assert_eq!(rounds.gathered(), Begin::Round);
        assert_eq!(take(&mut rounds), ("d".into(), Begin::Nothing));
        assert_eq!(rounds.push(5, 'e'), Begin::Nothing, "three are under way");
        assert_eq!(rounds.waiting_keys(), 5);
        assert_eq!(rounds.ended(2), Begin::Round);
        assert_eq!(take(&mut rounds).0, "e", "an item larger than a batch goes alone");
    }

    #[test]
    fn a_round_is_of_one_kind_and_the_rest_keeps_its_order() {
        let mut rounds = rounds(3, 2);
        assert_eq!(rounds.push(1, 'a'), Begin::Round);
        for item in ['B', 'c', 'D', 'e', 'f'] {
            assert_eq!(rounds.push(1, item), Begin::Nothing);
        }
        assert_eq!(take(&mut rounds), ("ace".into(), Begin::Round), "a batch is left");
        assert_eq!(take(&mut rounds), ("BD".into(), Begin::Nothing));
        assert_eq!(rounds.ended(3), Begin::Round);
        assert_eq!(take(&mut rounds).0, "f");
    }

    #[test]
    fn a_round_takes_no_more_than_half_of_many_keys() {
        let limits = Limits { batch: 9, in_flight: 4, at_once: 4, gather_for: Duration::ZERO, whole: 3 };
        let mut rounds = Rounds::new(limits);
        let push = |rounds: &mut Rounds<char>, count: usize| {
            ('a'..)
                .take(count)
                .map(|item| rounds.push(1, item))
                .fold(Begin::Nothing, |first, begin| if first == Begin::Nothing { begin } else { first })
        };
        assert_eq!(push(&mut rounds, 10), Begin::Round);
        assert_eq!(take(&mut rounds), ("abcde".into(), Begin::Round), "half of ten");
        assert_eq!(take(&mut rounds), ("fghij".into(), Begin::Nothing), "half of ten: five are looked up");
        assert_eq!(rounds.ended(5), Begin::Nothing);
        assert_eq!(push(&mut rounds, 3), Begin::Round);
        assert_eq!(take(&mut rounds), ("abc".into(), Begin::Nothing), "half of eight is more");
        assert_eq!((rounds.ended(5), rounds.ended(3)), (Begin::Nothing, Begin::Nothing));
        assert_eq!(push(&mut rounds, 3), Begin::Round);
        assert_eq!(
            take(&mut rounds),
            ("abc".into(), Begin::Nothing),
            "few go together, though nothing is looked up"
        );
        assert_eq!(rounds.ended(3), Begin::Nothing);
        assert_eq!(push(&mut rounds, 24), Begin::Round);
        assert_eq!(take(&mut rounds).0.len(), 9, "no more than a batch");
        assert_eq!(rounds.ended(9), Begin::Nothing, "a round starts already");
        assert_eq!((take(&mut rounds).0.len(), rounds.ended(8)), (8, Begin::Nothing), "half of fifteen");
        assert_eq!(take(&mut rounds).0.len(), 7, "what that left goes whole, though nothing is looked up");
    }
}
