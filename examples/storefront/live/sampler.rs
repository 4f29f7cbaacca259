//! Who looks, and the one task that reads figures for all of them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use serde::Serialize;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::figures::Sources;
use crate::shop::Shop;

/// Most streams at once.
pub(crate) const VIEWERS: usize = 64;

const EVERY: Duration = Duration::from_millis(500);

/// An event's text; `None` while nobody looks, as what was read last is no news.
type Latest = Option<Arc<str>>;

/// What a sampler reads, told how many look.
pub(super) trait Source: Send + 'static {
    type Figures: Serialize;

    fn read(&mut self, viewers: usize) -> Self::Figures;

    /// Nobody has looked for a while.
    fn forget(&mut self);
}

/// The live figures of one server.
pub(crate) struct Live {
    latest: watch::Receiver<Latest>,
    seats: Arc<Semaphore>,
    wake: Arc<Notify>,
    sampler: AbortHandle,
}

impl Live {
    /// Begins the sampler, which sleeps until somebody looks.
    pub(crate) fn begin(shop: &Shop) -> Arc<Live> {
        Live::of(Sources::new(shop))
    }

    fn of(source: impl Source) -> Arc<Live> {
        let (sender, latest) = watch::channel(None);
        let (seats, wake) = (Arc::new(Semaphore::new(VIEWERS)), Arc::new(Notify::new()));
        let sampler = tokio::spawn(sample(source, sender, seats.clone(), wake.clone())).abort_handle();
        Arc::new(Live { latest, seats, wake, sampler })
    }

    /// The events of one viewer, up to [`end`](Live::end); `None` if there are too many, or it has ended. Its seat is free
    /// when the stream is dropped.
    pub(super) fn view(&self) -> Option<impl Stream<Item = Arc<str>> + use<>> {
        let seat = self.seats.clone().try_acquire_owned().ok()?;
        // Ours has seen nothing, so what the others have seen already is news to its clone.
        let latest = self.latest.clone();
        self.wake.notify_one();
        Some(unfold((latest, seat), async |(mut latest, seat)| {
            loop {
                // An error: the sampler has ended.
                latest.changed().await.ok()?;
                let text = latest.borrow_and_update().clone();
                if let Some(text) = text {
                    return Some((text, (latest, seat)));
                }
            }
        }))
    }

    /// Ends all streams, and begins none: a server that is to end waits for its open responses.
    pub(crate) fn end(&self) {
        self.seats.close();
        self.sampler.abort();
    }

    /// Waits until the sampler has noticed that nobody looks.
    pub(super) async fn rests(&self) {
        // An error: it has ended, and rests, too.
        let _ = self.latest.clone().wait_for(Option::is_none).await;
    }
}

/// Reads while somebody looks. It holds the sender, so that all streams end with it.
async fn sample(
    mut source: impl Source,
    sender: watch::Sender<Latest>,
    seats: Arc<Semaphore>,
    wake: Arc<Notify>,
) {
    loop {
        wake.notified().await;
        source.forget();
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let viewers = VIEWERS - seats.available_permits();
            if viewers == 0 {
                break;
            }
            match serde_json::to_string(&source.read(viewers)) {
                Ok(text) => drop(sender.send_replace(Some(text.into()))),
                Err(error) => eprintln!("error: figures that can't be written as JSON: {error}"),
            }
        }
        sender.send_replace(None);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::{FutureExt, StreamExt};

    use super::*;

    /// Counts how often it is read.
    struct Read(Arc<AtomicUsize>);

    impl Source for Read {
        type Figures = usize;

        fn read(&mut self, _: usize) -> usize {
            self.0.fetch_add(1, Ordering::Relaxed) + 1
        }

        fn forget(&mut self) {}
    }

    fn live() -> (Arc<Live>, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        (Live::of(Read(read.clone())), read)
    }

    #[tokio::test(start_paused = true)]
    async fn it_reads_only_while_somebody_looks_and_once_for_all() {
        let (live, read) = live();
        tokio::time::sleep(EVERY * 10).await;
        assert_eq!(read.load(Ordering::Relaxed), 0, "nobody looks");

        let mut one = pin!(live.view().unwrap());
        assert_eq!(&*one.next().await.unwrap(), "1", "at once");
        let mut other = Box::pin(live.view().unwrap());
        assert_eq!(&*other.next().now_or_never().unwrap().unwrap(), "1", "at once, without another reading");
        assert_eq!(&*one.next().await.unwrap(), "2");
        assert_eq!(&*other.next().await.unwrap(), "2");

        // Whoever is slow skips what is old.
        tokio::time::sleep(EVERY * 5 + EVERY / 2).await;
        assert_eq!(&*other.next().now_or_never().unwrap().unwrap(), "7");
        assert!(other.next().now_or_never().is_none(), "nothing is queued");
    }

    #[tokio::test(start_paused = true)]
    async fn old_figures_are_no_news() {
        let (live, read) = live();
        let mut first = Box::pin(live.view().unwrap());
        first.next().await.unwrap();
        drop(first);
        tokio::time::timeout(EVERY * 2, live.rests()).await.expect("it rests");
        let before = read.load(Ordering::Relaxed);
        tokio::time::sleep(EVERY * 10).await;
        assert_eq!(read.load(Ordering::Relaxed), before, "nobody looks any more");
        let mut late = Box::pin(live.view().unwrap());
        assert!(late.next().now_or_never().is_none(), "what was read before is not shown");
        assert_eq!(*late.next().await.unwrap(), *(before + 1).to_string());
    }

    #[tokio::test(start_paused = true)]
    async fn viewers_are_bounded_and_a_seat_is_given_back() {
        let (live, _) = live();
        let mut views: Vec<_> = (0..VIEWERS).map(|_| Box::pin(live.view().unwrap())).collect();
        assert!(live.view().is_none());
        views.pop();
        assert!(live.view().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn streams_end_with_the_server() {
        let (live, _) = live();
        let mut view = Box::pin(live.view().unwrap());
        view.next().await.unwrap();
        live.end();
        assert!(view.take(2).count().await < 2, "what was read before, at most");
        assert!(live.view().is_none(), "none is begun");
    }
}
