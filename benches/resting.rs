//! What the record that all rows of an entity rest on costs a read: one more key in the same MGET, and its token held against
//! each row's.
//!
//! Both sides read rows from a private Redis; those of the floor rest on nothing, and no invalidation of the whole entity
//! would reach them.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::Result;
use benches::{Film, Pair, film};
use tierstack_core::l2::{L2Layer, L2Options};
use tierstack_core::origin::{Bulkhead, OriginLayer, OriginOptions};
use tierstack_core::{Clock, Counters, Freshness, KeyFormat, Lookup, Random, Settings, Stack};
use tierstack_redis::{RedisSettings, RedisTier};
use tower::{Layer, service_fn};

fn main() -> Result<()> {
    let server = tierstack_servers::Redis::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut settings = RedisSettings::default();
    settings.url = server.url();
    let tier = Arc::new(RedisTier::new(settings)?);
    let free = stack(&tier, "free", false)?;
    let resting = stack(&tier, "resting", true)?;
    for (size, what) in [
        (1, "batch of 1 from L2, resting on one record"),
        (10, "batch of 10 from L2, resting on one record"),
        (100, "batch of 100 from L2, resting on one record"),
    ] {
        let ask = |stack: &Stack<i32, Film>| {
            let answers = runtime.block_on(stack.ask(Lookup::batch(0..size)));
            black_box(answers.expect("Redis is up"));
        };
        ask(&free);
        ask(&resting);
        let pair =
            Pair { bench: "resting", row: 4, what, floor: "the same, resting on nothing", limit: None };
        pair.run(|| ask(&free), || ask(&resting), size as u64);
    }
    Ok(())
}

/// L2 over an origin in memory, for rows of an entity of that name.
fn stack(tier: &Arc<RedisTier>, entity: &str, resting: bool) -> Result<Stack<i32, Film>> {
    let format = KeyFormat::new("shop", entity, None, &["id"], 64)?;
    let (settings, freshness) = (Settings::default(), Freshness::default());
    let (clock, random, counters) = (Clock::system(), Random::system(), Arc::new(Counters::default()));
    let bulkhead = Arc::new(Bulkhead::new(&settings));
    let l2 = L2Layer::new(L2Options {
        tier: tier.clone(),
        depends_on: resting.then(|| format.special("all")),
        format,
        schema: 1,
        freshness: freshness.clone(),
        settings: settings.clone(),
        clock: clock.clone(),
        random: random.clone(),
        counters: counters.clone(),
    })?;
    let origin = OriginLayer::new(OriginOptions { freshness, settings, clock, random, counters, bulkhead })?;
    let load = |keys: Vec<i32>| async move {
        Ok::<_, std::io::Error>(keys.into_iter().map(|key| (key, film(key))).collect::<Vec<_>>())
    };
    Ok(Stack::new(l2.layer(origin.layer(service_fn(load)))))
}
