//! What the layers of one cache record with.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::{Begin, Current, Fact, Measure, Parent, Recorder, Scope, Span, System, Told, Work};
use crate::causes::Causes;
use crate::{Age, Answers, Clock, ErrorKind, Keep, Level, Meta, Moment, Outcome};

/// A recorder, and whose work it records.
#[derive(Clone, Debug)]
pub(crate) struct Traced {
    pub(crate) recorder: Arc<dyn Recorder>,
    pub(crate) scope: Scope,
    clock: Clock,
    /// How long rows, and absences, are fresh: their age is told by it.
    fresh_for: (Duration, Duration),
}

/// One hit in so many is measured.
const MEASURED_ONE_IN: u64 = 1_024;

impl Traced {
    /// Of what concerns a whole namespace.
    pub(crate) fn new(recorder: Arc<dyn Recorder>, namespace: &str, clock: Clock) -> Self {
        let scope = Scope { namespace: namespace.into(), entity: None, projection: None };
        Traced { recorder, scope, clock, fresh_for: Default::default() }
    }

    /// The same for one of the namespace's caches.
    pub(crate) fn of(&self, entity: &str, projection: Option<&str>, fresh_for: (Duration, Duration)) -> Self {
        let scope = Scope {
            entity: Some(entity.into()),
            projection: projection.map(Into::into),
            ..self.scope.clone()
        };
        Traced { scope, fresh_for, ..self.clone() }
    }

    /// Begins work within the current span.
    pub(crate) fn begin(&self, work: Work, keys: usize) -> Doing {
        self.ask(work, keys, None)
    }

    /// The same, of a system.
    pub(crate) fn ask(&self, work: Work, keys: usize, system: Option<System>) -> Doing {
        self.begin_with(work, keys, None, system, Parent::Current)
    }

    /// Begins a lookup within the current span.
    pub(crate) fn look(&self, keys: usize, text: &dyn Fn() -> Vec<String>) -> Doing {
        self.begin_with(Work::Lookup, keys, Some(text), None, Parent::Current)
    }

    /// Begins work that goes on behind what the task at hand is doing.
    pub(crate) fn behind(&self, work: Work, keys: usize) -> Doing {
        let parent = match Causes::current().span().map(|span| span.id()) {
            // Nor is what it causes recorded.
            Some(None) => Parent::Current,
            cause => Parent::CausedBy(cause.flatten()),
        };
        self.begin_with(work, keys, None, None, parent)
    }

    fn begin_with(
        &self,
        work: Work,
        keys: usize,
        keys_text: Option<&dyn Fn() -> Vec<String>>,
        system: Option<System>,
        parent: Parent,
    ) -> Doing {
        let begin = Begin { work, scope: &self.scope, keys, keys_text, system: system.as_ref(), parent };
        let span = self.recorder.begin(&begin);
        let began = self.clock.precise();
        Doing { traced: self.clone(), span, work, keys, system, began, failed: Some(None) }
    }

    /// Whether nothing is under way that work could be a part of.
    pub(crate) fn is_alone(&self) -> bool {
        self.recorder.current() == Current::None
    }

    /// Records a hit of the handle in L1, if its caller is recorded.
    #[inline]
    pub(crate) fn hit(&self, keys: usize, absent: bool, text: &dyn Fn() -> Vec<String>) {
        if self.recorder.current() == Current::Recorded {
            self.hit_recorded(keys, absent, text);
        }
    }

    #[cold]
    fn hit_recorded(&self, keys: usize, absent: bool, text: &dyn Fn() -> Vec<String>) {
        let told = if absent { Told::Absent } else { Told::Hit };
        let mut doing = self.look(keys, text);
        doing.note(Fact::Told(told, Some(Level::L1)));
        doing.done();
    }

    /// Measures the `nth` hit, if it is one of those that are.
    #[inline]
    pub(crate) fn measure_hit(&self, nth: u64, meta: &Meta, absent: bool, now: Moment) {
        if nth.is_multiple_of(MEASURED_ONE_IN) {
            self.measure_age(meta, absent, now);
        }
    }

    /// The same of a hit that a caller of the stack was told of just now.
    pub(crate) fn measure_told(&self, nth: u64, meta: &Meta, absent: bool) {
        if nth.is_multiple_of(MEASURED_ONE_IN) {
            self.measure_age(meta, absent, self.clock.coarse());
        }
    }

    fn measure_age(&self, meta: &Meta, absent: bool, now: Moment) {
        let (present_for, absent_for) = self.fresh_for;
        let fresh_for = if absent { absent_for } else { present_for };
        let age = fresh_for.saturating_sub(meta.fresh_until.since(now));
        self.recorder.measure(&Measure::AgeAtHit { scope: &self.scope, age });
    }
}

/// Work under way; its span ends when it is dropped.
pub(crate) struct Doing {
    traced: Traced,
    span: Arc<dyn Span>,
    work: Work,
    keys: usize,
    system: Option<System>,
    began: Moment,
    /// Given up, until it is known how it ended.
    failed: Option<Option<ErrorKind>>,
}

impl Doing {
    pub(crate) fn span(&self) -> &Arc<dyn Span> {
        &self.span
    }

    /// Does `work` within it, for what the task at hand is doing.
    pub(crate) async fn scope<F: Future>(&self, work: F) -> F::Output {
        Causes::current().within(Arc::clone(&self.span)).scope(work).await
    }

    pub(crate) fn note(&self, fact: Fact) {
        self.span.note(fact);
    }

    /// It ended well.
    pub(crate) fn done(&mut self) {
        self.failed = None;
    }

    /// It ended so.
    pub(crate) fn ended<T>(&mut self, result: &Result<T, crate::Error>) {
        self.failed = result.as_ref().err().map(|error| Some(error.kind()));
    }

    /// It failed with the first of `failures`, if there is one.
    pub(crate) fn failed_with(&mut self, mut failures: impl Iterator<Item = ErrorKind>) {
        self.failed = failures.next().map(Some);
    }

    /// A lookup ended with these.
    pub(crate) fn told<K, V>(&mut self, answers: &Result<Answers<K, V>, crate::Error>) {
        self.ended(answers);
        if let Ok(answers) = answers {
            self.told_all(answers.iter().map(|(_, outcome)| outcome));
        } else {
            self.note(Fact::Told(Told::Error, None));
        }
    }

    /// A lookup ended with these outcomes.
    pub(crate) fn told_all<'o, V: 'o>(&mut self, outcomes: impl Iterator<Item = &'o Outcome<V>> + Clone) {
        let tier = |outcome: &Outcome<V>| Some(outcome.as_ref().ok()?.as_ref()?.source);
        let farthest = outcomes.clone().filter_map(tier).max_by_key(|level| *level as u8);
        if let Some(worst) = outcomes.clone().map(Told::of).max() {
            self.note(Fact::Told(worst, farthest));
        }
        self.failed_with(outcomes.filter_map(|outcome| outcome.as_ref().err().map(crate::Error::kind)));
    }
}

impl Told {
    pub(crate) fn of<V>(outcome: &Outcome<V>) -> Self {
        match outcome {
            Err(_) => Told::Error,
            Ok(None) => Told::Miss,
            Ok(Some(answer)) if answer.age != Age::Fresh => Told::Stale,
            Ok(Some(answer)) if answer.entry.is_absent() => Told::Absent,
            Ok(Some(answer)) if answer.source != Level::Origin => Told::Hit,
            Ok(Some(answer)) if matches!(answer.keep, Keep::BriefSince(_)) => Told::Bypass,
            Ok(Some(_)) => Told::Miss,
        }
    }
}

impl Drop for Doing {
    fn drop(&mut self) {
        if let Some(failed) = self.failed {
            self.span.note(Fact::Failed(failed));
        }
        self.span.end();
        let Traced { recorder, scope, clock, .. } = &self.traced;
        recorder.measure(&Measure::Ended {
            work: self.work,
            scope,
            system: self.system.as_ref(),
            keys: self.keys,
            took: clock.precise().since(self.began),
            failed: self.failed,
        });
    }
}
