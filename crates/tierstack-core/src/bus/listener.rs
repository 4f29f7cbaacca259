//! The listener: subscribes, hears, and says how long L1 may answer.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::select;
use tokio::sync::watch;

use super::hearing::{Heard, Hearing};
use super::{Beat, Bus, BusSettings, BusStats, Channel, Message, Subscription};
use crate::tier::BoxFuture;
use crate::{Clock, Error, Moment, Random, Token, sync};

/// What is done with what is heard: those keys are forgotten, each unless what is held bears the token. `Break`: nobody is
/// left to hear.
pub(crate) type Hear = Arc<dyn Fn(&[(Box<str>, Option<Token>)]) -> ControlFlow<()> + Send + Sync>;

/// A namespace's ear. Dropping it ends its task.
pub(crate) struct Listening {
    ear: Arc<Ear>,
    stop: watch::Sender<bool>,
}

/// What the namespace shares with the task.
struct Ear {
    bus: Arc<dyn Bus>,
    channel: Channel,
    settings: BusSettings,
    clock: Clock,
    random: Random,
    hearing: Arc<Hearing>,
    /// A task listens.
    listens: AtomicBool,
}

impl Listening {
    /// Listens to nothing yet.
    pub(crate) fn new(
        bus: Arc<dyn Bus>,
        channel: Channel,
        settings: BusSettings,
        clock: Clock,
        random: Random,
    ) -> Self {
        let hearing = Hearing::deaf(clock.coarse());
        let listens = AtomicBool::new(false);
        let ear = Ear { bus, channel, settings, clock, random, hearing, listens };
        Listening { ear: Arc::new(ear), stop: watch::Sender::new(false) }
    }

    pub(crate) fn hearing(&self) -> &Arc<Hearing> {
        &self.ear.hearing
    }

    pub(crate) fn deaf_after(&self) -> Duration {
        self.ear.settings.deaf_after
    }

    pub(crate) fn stats(&self) -> BusStats {
        self.ear.hearing.stats(self.ear.clock.coarse())
    }

    /// Begins to listen, unless a task does. Outside a runtime it is left to the next call.
    #[inline]
    pub(crate) fn begin(&self, hear: impl FnOnce() -> Hear) {
        if !self.ear.listens.load(Ordering::Acquire) {
            self.begin_task(hear);
        }
    }

    #[cold]
    fn begin_task(&self, hear: impl FnOnce() -> Hear) {
        let Ok(runtime) = sync::Handle::try_current() else { return };
        if self.ear.listens.swap(true, Ordering::AcqRel) {
            return;
        }
        // After a shutdown it ends as soon as it runs.
        let task = Task { ear: Arc::clone(&self.ear), stop: self.stop.subscribe() };
        runtime.spawn(task.run(hear()));
    }

    /// Ends the task for good, and waits for its end: not for one whose runtime stands still, for longer than it takes to
    /// be deaf.
    pub(crate) async fn shutdown(&self) {
        self.stop.send_replace(true);
        let until = self.ear.clock.coarse().plus(self.deaf_after());
        let _ = self.ear.clock.before(until, self.stop.closed()).await;
    }
}

/// The task. However it ends, the node is deaf from then on, and another may be begun.
struct Task {
    ear: Arc<Ear>,
    stop: watch::Receiver<bool>,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.ear.hearing.deafen(self.ear.clock.coarse());
        self.ear.listens.store(false, Ordering::Release);
    }
}

impl Task {
    async fn run(mut self, hear: Hear) {
        let ear = Arc::clone(&self.ear);
        // An error means that the namespace is gone.
        let stopped = async { drop(self.stop.wait_for(|stop| *stop).await) };
        let (stopped, listening) = (pin!(stopped), pin!(ear.listen(&hear)));
        select(stopped, listening).await;
    }
}

impl Ear {
    /// Subscribes again and again, until nobody is left to hear.
    async fn listen(&self, hear: &Hear) {
        let mut failures = 0_u32;
        loop {
            let ended = self.subscription(hear).await;
            self.hearing.deafen(self.clock.coarse());
            match ended {
                Ended::NobodyLeft => return,
                Ended::AfterItHeld => failures = 0,
                Ended::Soon => {}
            }
            self.clock.sleep(self.settings.backoff(failures, self.random.unit())).await;
            failures = failures.saturating_add(1);
        }
    }

    /// One subscription, from its first request until something may have gone unheard.
    async fn subscription(&self, hear: &Hear) -> Ended {
        let node = self.random.token();
        let suspended = self.clock.suspended();
        let until = self.clock.coarse().plus(self.settings.subscribe_timeout);
        let subscribing = self.bus.subscribe(&self.channel, node);
        let Some(Ok(told)) = self.clock.before(until, subscribing).await else { return Ended::Soon };
        self.hearing.begin_generation();
        let mut heart = Heart::new(self, node, told);
        let mut run: Option<Box<str>> = None;
        loop {
            let event = heart.next().await;
            // Of what was told while the machine slept, nothing is known to have come through.
            if self.clock.suspended().saturating_sub(suspended) > ASLEEP {
                return heart.ended();
            }
            let message = match event {
                Event::Told(message) => message,
                Event::Ended => return heart.ended(),
            };
            self.hearing.count(Heard::Message, 1);
            match message {
                Message::Invalidated(keys) => {
                    self.hearing.count(Heard::Key, keys.len());
                    if hear(&keys).is_break() {
                        return Ended::NobodyLeft;
                    }
                }
                Message::Beat(beat, through) => {
                    if *run.get_or_insert_with(|| through.clone()) != through {
                        return heart.ended();
                    }
                    if let Some(sent) = heart.heard(beat) {
                        self.hearing.has_heard(sent, self.settings.deaf_after);
                    }
                }
                Message::Unreadable => {
                    self.hearing.count(Heard::Unreadable, 1);
                    return heart.ended();
                }
            }
        }
    }
}

/// Two readings of two clocks are less than this apart, if the machine didn't sleep between them.
const ASLEEP: Duration = Duration::from_millis(100);

/// How a subscription ended.
enum Ended {
    /// It was not confirmed, nothing was heard, or not for long. Whatever ends each as soon as it has heard, as a server does
    /// whose buffer is too small for what is told, is not to be met at once again.
    Soon,
    /// It was heard for as long as one waits at most.
    AfterItHeld,
    NobodyLeft,
}

/// What there is to do.
enum Event {
    Told(Message),
    /// What was told may have been lost: the subscription ended, or a heartbeat of ours is not heard.
    Ended,
}

/// Sends heartbeats while it hears what is told. A heartbeat that hangs holds up no hearing.
struct Heart<'a> {
    ear: &'a Ear,
    node: Token,
    told: Subscription,
    sending: Option<BoxFuture<'a, Option<Result<(), Error>>>>,
    next: BoxFuture<'a, ()>,
    seq: u64,
    /// When those that were not heard yet were sent. One goes every `beat_every`, and the first that is not heard within
    /// `deaf_after` is the last: that bounds them.
    unheard: VecDeque<(u64, Moment)>,
    /// When the first that was heard was sent.
    hears_since: Option<Moment>,
}

impl<'a> Heart<'a> {
    fn new(ear: &'a Ear, node: Token, told: Subscription) -> Self {
        let next = Box::pin(std::future::ready(()));
        Heart { ear, node, told, sending: None, next, seq: 0, unheard: VecDeque::new(), hears_since: None }
    }

    /// The next thing to do.
    async fn next(&mut self) -> Event {
        poll_fn(|cx| {
            self.beat(cx);
            if let Poll::Ready(told) = self.told.as_mut().poll_next(cx) {
                return Poll::Ready(told.map_or(Event::Ended, Event::Told));
            }
            // Only now: it may have been waiting to be heard, while this task could not run.
            if self.is_silent() { Poll::Ready(Event::Ended) } else { Poll::Pending }
        })
        .await
    }

    /// Sends a heartbeat if it is time to, and none is being sent.
    fn beat(&mut self, cx: &mut Context<'_>) {
        let ear = self.ear;
        loop {
            // One that failed is not heard, which tells.
            if let Some(sending) = &mut self.sending
                && sending.as_mut().poll(cx).is_ready()
            {
                self.sending = None;
            }
            if self.next.as_mut().poll(cx).is_pending() {
                return;
            }
            self.next = Box::pin(ear.clock.sleep(ear.settings.beat_every));
            if self.sending.is_none() {
                self.seq += 1;
                // The time from before it is sent: what was told before that is heard before it.
                let sent = ear.clock.coarse();
                self.unheard.push_back((self.seq, sent));
                let beat = Beat { node: self.node, seq: self.seq };
                let beating = ear.bus.beat(&ear.channel, beat);
                let until = sent.plus(ear.settings.deaf_after);
                self.sending = Some(Box::pin(ear.clock.before(until, beating)));
            }
        }
    }

    /// When a heartbeat that was heard was sent; `None` if it is none that is waited for.
    fn heard(&mut self, beat: Beat) -> Option<Moment> {
        let at = self.unheard.iter().position(|(seq, _)| beat.node == self.node && *seq == beat.seq)?;
        self.ear.hearing.count(Heard::BeatLost, at);
        let sent = self.unheard.drain(..=at).next_back().map(|(_, sent)| sent);
        self.hears_since = self.hears_since.or(sent);
        sent
    }

    fn is_silent(&self) -> bool {
        let now = self.ear.clock.coarse();
        self.unheard.front().is_some_and(|(_, sent)| now.since(*sent) > self.ear.settings.deaf_after)
    }

    fn ended(&self) -> Ended {
        self.ear.hearing.count(Heard::BeatLost, self.unheard.len());
        let long = self.ear.settings.retry_after_at_most;
        let now = self.ear.clock.coarse();
        let held = self.hears_since.is_some_and(|since| now.since(since) >= long);
        if held { Ended::AfterItHeld } else { Ended::Soon }
    }
}
