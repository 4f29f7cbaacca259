//! Records whose times can't be.

use std::time::Duration;

use tests::film;
use tierstack_core::record::Unusable;
use tierstack_core::{Level, Lookup};

use super::{Desk, FRESH_UNTIL_AT, STALE_UNTIL_AT, WRITTEN_AT, origin_row, with_u64};
use crate::shop::look;

/// A record from the future is of a tier whose clock was set back: nobody knows how old it is.
#[tokio::test(start_paused = true)]
async fn a_record_from_the_future_is_replaced() {
    let desk = Desk::new();
    for written in [desk.now_ms() + 2_000, desk.now_ms() + 7_200_000, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
        for record in [desk.present(), desk.absent()] {
            let record = with_u64(&record, WRITTEN_AT, written);
            desk.replaces(record, Unusable::Future, &format!("written at {written}")).await;
        }
    }
    let soon = with_u64(&desk.present(), WRITTEN_AT, desk.now_ms() + 500);
    assert_eq!(desk.plant(soon).await.row, Some(film(7)), "clocks may differ by a little");
}

/// A record whose ends have passed, or are zero, is too old: nothing is wrong with it, and it is replaced.
#[tokio::test(start_paused = true)]
async fn a_record_that_has_ended_is_replaced() {
    let desk = Desk::new();
    for (fresh, stale) in [(0, 0), (0, desk.now_ms()), (desk.now_ms(), desk.now_ms()), (1, 1)] {
        let record = with_u64(&desk.present(), FRESH_UNTIL_AT, fresh);
        let record = with_u64(&record, STALE_UNTIL_AT, stale);
        let seen = desk.plant(record).await;
        assert_eq!((seen.row, seen.source), (Some(origin_row()), Level::Origin), "{fresh} {stale}");
        assert!(seen.unusable.is_empty());
        let held = look(&desk.films, Lookup::one(7).never_load().skip_l1()).await.unwrap().unwrap();
        assert_eq!(held.entry.into_present().unwrap().version, 1);
    }
}

/// Ends beyond any life don't make a record live for ever: it ends when one written then with this node's settings would.
#[tokio::test(start_paused = true)]
async fn a_record_ends_no_later_than_its_writing_and_the_longest_life_allow() {
    let desk = Desk::new();
    let now = desk.now_ms();
    let longest = desk.shop.freshness.longest();
    let year_9999 = 253_370_764_800_000;
    for end in [year_9999, u64::MAX / 2, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX - 1, u64::MAX] {
        let record = with_u64(&desk.present(), FRESH_UNTIL_AT, end);
        let record = with_u64(&record, STALE_UNTIL_AT, end);
        desk.shop.tier.overwrite(desk.key.as_bytes(), record.clone());
        let answer = look(&desk.films, Lookup::one(7).skip_l1()).await.unwrap().unwrap();
        assert_eq!(answer.source, Level::L2);
        assert!(answer.fresh_for(desk.shop.manual.clock().coarse()) <= longest, "{end}: {:?}", answer.meta);
        let long_ago = with_u64(&record, WRITTEN_AT, now - longest.as_millis() as u64 - 1_000);
        let seen = desk.plant(long_ago).await;
        assert_eq!((seen.row, seen.source), (Some(origin_row()), Level::Origin), "{end}");
        let never = with_u64(&record, WRITTEN_AT, 0);
        assert_eq!(desk.plant(never).await.row, Some(origin_row()), "{end}");
    }
    assert!(longest > Duration::from_secs(60));
}
