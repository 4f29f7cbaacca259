//! What the task at hand is loading for: so that a load which asks for what it is loading is told so, and doesn't wait for
//! itself; and so that its spans are part of those of whoever asked.

use std::future::{Future, poll_fn};
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use crate::System;
use crate::recorder::{Doing, Span, SpanId, Traced, Work};

tokio::task_local! {
    static CAUSES: Causes;
}

/// The batches of keys, of any cache, whose load the task at hand is part of. A task that the loader spawns has none.
///
/// One pointer, as each lookup under way holds it, and few have any.
#[derive(Clone, Debug, Default)]
pub(crate) struct Causes(Option<Arc<Parts>>);

#[derive(Clone, Debug, Default)]
struct Parts {
    ids: Option<Arc<[u64]>>,
    /// What is recorded of it; `None` without a recorder.
    span: Option<Arc<dyn Span>>,
    /// Of what is begun for several, the spans of the others.
    others: Option<Arc<[Arc<dyn Span>]>>,
}

impl Causes {
    /// Those of the task at hand.
    pub(crate) fn current() -> Self {
        CAUSES.try_with(Clone::clone).unwrap_or_default()
    }

    /// All of `several`, and `own`.
    pub(crate) fn of<'a>(
        own: impl Iterator<Item = u64>,
        several: impl Iterator<Item = &'a Causes> + Clone,
    ) -> Self {
        let mut all: Vec<u64> = own.collect();
        for causes in several.clone() {
            all.extend(causes.0.iter().flat_map(|parts| parts.ids.iter()).flat_map(|ids| ids.iter()));
        }
        let spans = || {
            several.clone().flat_map(|causes| causes.0.iter()).flat_map(|parts| {
                parts.span.iter().chain(parts.others.iter().flat_map(|others| others.iter()))
            })
        };
        // Of one that is not recorded, nobody would see what is part of it.
        let span = spans().find(|span| span.id().is_some()).or_else(|| spans().next()).cloned();
        let id = span.as_ref().and_then(|span| span.id());
        let others: Vec<Arc<dyn Span>> =
            spans().filter(|other| other.id().is_some() && other.id() != id).cloned().collect();
        let ids = (!all.is_empty()).then(|| all.into());
        let others = (!others.is_empty()).then(|| others.into());
        let is_empty = ids.is_none() && span.is_none() && others.is_none();
        Causes((!is_empty).then(|| Arc::new(Parts { ids, span, others })))
    }

    /// The batches, by their ids.
    pub(crate) fn batches(&self) -> &[u64] {
        self.0.as_ref().and_then(|parts| parts.ids.as_deref()).unwrap_or_default()
    }

    /// The span that what is done now is part of.
    pub(crate) fn span(&self) -> Option<&Arc<dyn Span>> {
        self.0.as_ref()?.span.as_ref()
    }

    /// The same, within a span that was begun for them.
    pub(crate) fn within(self, span: Arc<dyn Span>) -> Self {
        let ids = self.0.as_ref().and_then(|parts| parts.ids.clone());
        Causes(Some(Arc::new(Parts { ids, span: Some(span), others: None })))
    }

    /// Links their span to others, to each once.
    pub(crate) fn link(&self, to: impl Iterator<Item = SpanId>) {
        let Some(span) = self.span() else { return };
        let mut linked: Vec<SpanId> = Vec::new();
        for id in to {
            if !linked.contains(&id) {
                linked.push(id);
                span.link(id);
            }
        }
    }

    /// Begins work for these, and links to it those that it is not part of.
    pub(crate) fn begin(&self, traced: &Traced, work: Work, keys: usize, system: Option<System>) -> Doing {
        let mut doing = None;
        if let Some(span) = self.span() {
            span.within(&mut || doing = Some(traced.ask(work, keys, system.clone())));
        }
        let doing = doing.unwrap_or_else(|| traced.ask(work, keys, system));
        let others = self.0.as_ref().and_then(|parts| parts.others.as_ref());
        if let (Some(id), Some(others)) = (doing.span().id(), others) {
            others.iter().for_each(|other| other.link(id));
        }
        doing
    }

    /// Does `work` for these.
    pub(crate) async fn scope<F: Future>(self, work: F) -> F::Output {
        // Where a scheduler switches tasks in the midst of a poll, on one thread, they would be those of all tasks.
        if cfg!(shuttle) {
            return work.await;
        }
        match self.span().cloned() {
            None => CAUSES.scope(self, work).await,
            Some(span) => CAUSES.scope(self, within(span, work)).await,
        }
    }
}

/// Polls `work` within a span.
async fn within<F: Future>(span: Arc<dyn Span>, work: F) -> F::Output {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let mut polled = Poll::Pending;
        span.within(&mut || polled = work.as_mut().poll(cx));
        polled
    })
    .await
}

/// Ids for batches, unlike any others in this process: many at once, as threads take the counter from each other.
pub(crate) fn batch_ids() -> Range<u64> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    const IDS: u64 = 1_024;
    let first = NEXT.fetch_add(IDS, Ordering::Relaxed);
    first..first + IDS
}
