//! A caller between L1, where it missed, and the flights.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tierstack_core::l1::L1Layer;
use tierstack_core::single_flight::{FlightOptions, Flights, SingleFlightLayer};
use tierstack_core::{Accept, Answers, Counters, Error, L1, Level, Lookup};
use tower::{Service, ServiceBuilder};

use super::rig::simulate;
use crate::shop::Shop;

fn shown(answers: Result<Answers<i32, usize>, Error>) -> (usize, Level) {
    let answer = answers.unwrap().into_iter().next().unwrap().1.unwrap().unwrap();
    (*answer.entry.into_present().unwrap(), answer.source)
}

/// It comes to the flights when the one of its key has ended: what that published answers it, and nothing is loaded again;
/// unless it wants a load, or an invalidation has come in between.
#[test]
fn a_caller_who_missed_before_a_flight_ended_is_answered_with_what_it_published() {
    simulate(async {
        let shop = Shop::new(0);
        let (counters, clock) = (Arc::new(Counters::default()), shop.manual.clock());
        let store = L1::capacity(100).store(false, &shop.settings, clock.clone(), counters.clone());
        let store = Arc::new(store.unwrap());
        let options = FlightOptions {
            settings: shop.settings.clone(),
            clock,
            counters: Arc::clone(&counters),
            over_l2: false,
            one_by_one: false,
        };
        let flights = Arc::new(Flights::new(options, Some(Arc::clone(&store))).unwrap());
        let loads = AtomicUsize::new(0);
        let load = move |keys: Vec<i32>| {
            let load = 1 + loads.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Ok::<_, Infallible>(
                keys.into_iter().map(|key| (key, load)).collect::<Vec<_>>(),
            ))
        };
        let load = Arc::new(load);
        let mut stack = ServiceBuilder::new()
            .layer(L1Layer::new(Arc::clone(&store)))
            .layer(SingleFlightLayer::new(Arc::clone(&flights)))
            .layer(shop.origin_layer::<usize>(&counters))
            .service(tower::service_fn(move |keys: Vec<i32>| load(keys)));
        // L1 is asked in the call, the flights when the future is polled.
        let mut miss = |lookup| stack.call(lookup);
        let [held, refresh, after] = [
            miss(Lookup::one(7)),
            miss(Lookup::one(7).refresh()),
            miss(Lookup::one(7).accept(Accept::Fresh)),
        ];
        assert_eq!(shown(miss(Lookup::one(7)).await), (1, Level::Origin));
        assert_eq!(shown(held.await), (1, Level::L1));
        assert_eq!(shown(refresh.await), (2, Level::Origin));
        flights.detach(&7);
        store.invalidate(&7);
        assert_eq!(shown(after.await), (3, Level::Origin));
    });
}
