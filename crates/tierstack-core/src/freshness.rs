//! How long an entry lives, and how it may serve now. Pure: the moment and the draw are arguments.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Accept, Age, Error, Meta, Moment};

/// How long entries live.
///
/// An entry is *fresh* for `fresh_for`, then *stale* for `stale_for`, then *expired*. The stages are those of RFC 5861's
/// `stale-while-revalidate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Freshness {
    /// How long a row answers as it is. Default: 5 minutes.
    pub fresh_for: Duration,
    /// How long after that it still answers, while it is renewed behind the answer. Default: 1 minute.
    pub stale_for: Duration,
    /// How long an absence is remembered. Default: 30 seconds.
    pub absent_for: Duration,
    /// Which share of a life is taken off at random, so that rows loaded together don't end together; `0.0..1.0`.
    /// Default: 0.1.
    pub jitter: f64,
}

impl Default for Freshness {
    fn default() -> Self {
        Freshness {
            fresh_for: Duration::from_secs(300),
            stale_for: Duration::from_secs(60),
            absent_for: Duration::from_secs(30),
            jitter: 0.1,
        }
    }
}

/// No life may be longer: a typing error, or a cache that is a database.
pub(crate) const LONGEST_LIFE: Duration = Duration::from_secs(366 * 24 * 3600);

impl Freshness {
    /// Sets how long a row is fresh.
    #[must_use]
    pub fn fresh_for(mut self, life: Duration) -> Self {
        self.fresh_for = life;
        self
    }

    /// Sets how long a row is stale after that.
    #[must_use]
    pub fn stale_for(mut self, life: Duration) -> Self {
        self.stale_for = life;
        self
    }

    /// Sets how long an absence is remembered.
    #[must_use]
    pub fn absent_for(mut self, life: Duration) -> Self {
        self.absent_for = life;
        self
    }

    /// Sets the share of a life that is taken off at random.
    #[must_use]
    pub fn jitter(mut self, share: f64) -> Self {
        self.jitter = share;
        self
    }

    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) with a sentence that says what to change.
    pub fn check(&self) -> Result<(), Error> {
        let Freshness { fresh_for, stale_for, absent_for, jitter } = self;
        for (name, life) in [("fresh_for", fresh_for), ("stale_for", stale_for), ("absent_for", absent_for)] {
            if *life > LONGEST_LIFE {
                return Err(Error::invalid(format!(
                    "{name} is {life:?}: at most 366 days are allowed, set it lower"
                )));
            }
        }
        for (name, life) in [("fresh_for", fresh_for), ("absent_for", absent_for)] {
            if *life < Duration::from_millis(1) {
                return Err(Error::invalid(format!(
                    "{name} is {life:?}: nothing would ever be a hit, set it to a millisecond or more"
                )));
            }
        }
        if *absent_for > *fresh_for + *stale_for {
            return Err(Error::invalid(format!(
                "absent_for ({absent_for:?}) is longer than a row lives ({:?}): lower absent_for",
                *fresh_for + *stale_for
            )));
        }
        if !(0.0..1.0).contains(jitter) {
            return Err(Error::invalid(format!(
                "jitter is {jitter}: it is the share of a life taken off at random, set it to 0.0 or more and below 1.0"
            )));
        }
        Ok(())
    }

    /// The longest that any entry is kept.
    #[must_use]
    pub fn longest(&self) -> Duration {
        (self.fresh_for + self.stale_for).max(self.absent_for)
    }

    /// Ends of an entry loaded at `now`, for a draw in `0.0..1.0`: (fresh until, stale until).
    #[must_use]
    pub fn ends(&self, absent: bool, now: Moment, draw: f64) -> (Moment, Moment) {
        let cut = 1.0 - self.jitter * draw.clamp(0.0, 1.0);
        if absent {
            let end = now.plus(self.absent_for.mul_f64(cut));
            (end, end)
        } else {
            let fresh = now.plus(self.fresh_for.mul_f64(cut));
            (fresh, fresh.plus(self.stale_for))
        }
    }
}

/// How an entry may serve at `now`: fresh before `fresh_until`, stale before `stale_until`, else expired.
#[must_use]
#[inline]
pub fn judge(meta: &Meta, now: Moment) -> Age {
    if now < meta.fresh_until {
        Age::Fresh
    } else if now < meta.stale_until {
        Age::Stale
    } else {
        Age::Expired
    }
}

/// Whether an entry of that age satisfies a lookup.
#[must_use]
#[inline]
pub fn satisfies(age: Age, accept: Accept) -> bool {
    match age {
        Age::Fresh => true,
        Age::Stale => accept == Accept::Stale,
        Age::Expired => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Token;

    #[test]
    fn judge_and_satisfies_agree_with_the_table() {
        let meta = Meta {
            token: Token::NONE,
            fresh_until: Moment::from_nanos(10),
            stale_until: Moment::from_nanos(20),
            cost_us: 0,
        };
        for (now, age, to_stale, to_fresh) in [
            (9, Age::Fresh, true, true),
            (10, Age::Stale, true, false),
            (19, Age::Stale, true, false),
            (20, Age::Expired, false, false),
            (u64::MAX, Age::Expired, false, false),
        ] {
            let judged = judge(&meta, Moment::from_nanos(now));
            assert_eq!(judged, age, "at {now}");
            assert_eq!(satisfies(judged, Accept::Stale), to_stale, "at {now}");
            assert_eq!(satisfies(judged, Accept::Fresh), to_fresh, "at {now}");
        }
    }

    #[test]
    fn ends_shorten_by_the_jitter_and_never_lengthen() {
        let policy = Freshness::default().jitter(0.5);
        let now = Moment::from_nanos(1);
        let (full, full_stale) = policy.ends(false, now, 0.0);
        let (half, _) = policy.ends(false, now, 1.0);
        assert_eq!(full.since(now), policy.fresh_for);
        assert_eq!(full_stale.since(full), policy.stale_for);
        assert_eq!(half.since(now), policy.fresh_for / 2);
        let (absent, absent_stale) = policy.ends(true, now, 0.0);
        assert_eq!((absent.since(now), absent), (policy.absent_for, absent_stale));
    }

    #[test]
    fn wrong_lives_are_refused_with_advice() {
        let good = Freshness::default();
        for (wrong, word) in [
            (good.clone().fresh_for(Duration::ZERO), "fresh_for"),
            (good.clone().absent_for(Duration::ZERO), "absent_for"),
            (good.clone().fresh_for(Duration::MAX), "fresh_for"),
            (good.clone().stale_for(Duration::from_millis(u64::MAX)), "stale_for"),
            (good.clone().absent_for(Duration::from_secs(3600)), "absent_for"),
            (good.clone().jitter(1.0), "jitter"),
            (good.clone().jitter(-0.1), "jitter"),
            (good.clone().jitter(f64::NAN), "jitter"),
        ] {
            let text = wrong.check().unwrap_err().to_string();
            assert!(text.contains(word), "{text}");
        }
        good.check().unwrap();
    }
}
