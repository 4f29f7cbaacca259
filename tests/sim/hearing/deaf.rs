//! A node that may not hear answers from L1 what is brief, and nothing else.

use std::time::Duration;

use tests::{Film, film};
use tierstack_core::{ErrorKind, Level, Message};

use super::rig::{DEAF_AFTER, Rig, pass, source, stats, version};
use crate::shop::settle;

/// No heartbeat is heard, and nothing says so: L1 answers until `deaf_after` from when the last one was sent, to the
/// millisecond, and a write of another node that was not heard is not answered any longer.
#[tokio::test(start_paused = true)]
async fn l1_is_suspended_when_no_heartbeat_was_heard_for_so_long() {
    let rig = Rig::new();
    let [here, there] = rig.two().await;
    rig.tier.set_mute(true);
    // The last heartbeat was sent when they began. A write is not heard, as by a bus that lost its message.
    rig.repository.put(Film { version: 1, ..film(1) });
    rig.tier.memory().clear();
    pass(DEAF_AFTER).await;
    assert_eq!(version(&there, 1).await, (0, Level::L1));
    pass(Duration::from_millis(1)).await;
    assert_eq!(version(&there, 1).await, (1, Level::Origin));
    assert_eq!(stats(&here).deaf_for, Some(Duration::from_millis(1)));
}

/// The same for a runtime that stands still: nobody is there to notice, but the time is looked at with each hit.
#[tokio::test(start_paused = true)]
async fn l1_is_suspended_in_a_runtime_that_stands_still() {
    let rig = Rig::new();
    let [_, there] = rig.two().await;
    let hit = || futures_util::FutureExt::now_or_never(there.get(1)).is_some();
    rig.manual.advance(DEAF_AFTER);
    assert!(hit());
    rig.manual.advance(Duration::from_millis(1));
    assert!(!hit(), "no task has run, nobody has said anything");
    // Nothing was lost: L1 answers again as soon as a heartbeat is heard, without a new subscription.
    pass(Duration::from_millis(251)).await;
    assert!(hit());
    assert_eq!((stats(&there).subscriptions, stats(&there).beats_lost), (1, 0));
}

/// What counts is when a heartbeat was sent, not when it was heard: what was told after it may be as late.
#[tokio::test(start_paused = true)]
async fn a_late_heartbeat_is_as_old_as_its_sending() {
    let rig = Rig::new();
    let [_, there] = rig.two().await;
    rig.tier.set_late(Duration::from_millis(800));
    // Sent after 250 ms, heard after 1,050.
    pass(Duration::from_millis(1_100)).await;
    assert_eq!(source(&there, 1).await, Level::L1);
    pass(Duration::from_millis(151)).await;
    assert_eq!(stats(&there).deaf_for, Some(Duration::from_millis(1)));
    assert_eq!((source(&there, 1).await, stats(&there).subscriptions), (Level::L2, 1));
}

/// A subscription on which no heartbeat is heard is given up, though it doesn't end.
#[tokio::test(start_paused = true)]
async fn a_silent_subscription_is_given_up() {
    let rig = Rig::new();
    let films = rig.films();
    films.get(1).await.unwrap();
    rig.tier.set_mute(true);
    pass(Duration::from_millis(1_400)).await;
    assert_eq!(
        (stats(&films).subscriptions, stats(&films).beats_lost),
        (1, 0),
        "the first to be lost is 1 s old after 1,250"
    );
    pass(Duration::from_millis(300)).await;
    assert_eq!(stats(&films).subscriptions, 2);
    assert!(stats(&films).beats_lost >= 4);
    assert!(stats(&films).deaf_for.is_some());
    rig.tier.set_mute(false);
    pass(Duration::from_secs(1)).await;
    assert_eq!(stats(&films).deaf_for, None);
}

/// A heartbeat that waited to be heard while the task could not run is heard: nothing was lost.
#[tokio::test(start_paused = true)]
async fn a_task_that_could_not_run_reads_before_it_judges() {
    let rig = Rig::new();
    let films = rig.films();
    films.get(1).await.unwrap();
    rig.tier.set_mute(true);
    pass(Duration::from_millis(251)).await;
    rig.tier.set_mute(false);
    rig.manual.advance(Duration::from_secs(5));
    rig.tier.say(&rig.tier.last_beat());
    pass(Duration::from_millis(300)).await;
    assert_eq!((stats(&films).deaf_for, stats(&films).subscriptions, stats(&films).beats_lost), (None, 1, 0));
}

/// While a node is deaf, what it found below `brief_for` ago at most is answered: an L2 that can be reached is not asked for
/// every lookup, and an origin that has to do without L2 is not, either.
#[tokio::test(start_paused = true)]
async fn brief_entries_answer_while_deaf() {
    let rig = Rig::new();
    let [_, there] = rig.two().await;
    rig.tier.set_refusing(true);
    rig.tier.memory().cut();
    settle().await;
    assert!(stats(&there).deaf_for.is_some());
    for _ in 0..3 {
        assert_eq!(source(&there, 1).await, Level::L2);
        assert_eq!(source(&there, 1).await, Level::L1);
        pass(Duration::from_millis(999)).await;
        assert_eq!(source(&there, 1).await, Level::L1);
        pass(Duration::from_millis(1)).await;
    }
    rig.tier.memory().set_outage(true);
    assert_eq!((source(&there, 2).await, source(&there, 2).await), (Level::Origin, Level::L1));
    pass(Duration::from_millis(1_001)).await;
    assert_eq!(source(&there, 2).await, Level::Origin);
}

/// A row that another node wrote is answered for `brief_for` at most by a deaf node, from L1 or by joining a load.
#[tokio::test(start_paused = true)]
async fn a_deaf_node_is_not_further_behind_than_brief_entries() {
    let rig = Rig::new();
    let [here, there] = rig.two().await;
    rig.tier.set_refusing(true);
    rig.tier.memory().cut();
    settle().await;
    rig.repository.hold_loads();
    let ask = || {
        let there = there.clone();
        tokio::spawn(async move { there.get(5).await.unwrap().unwrap().version })
    };
    let loads = rig.repository.loads();
    let before = ask();
    pass(Duration::from_millis(1)).await;
    assert_eq!(rig.repository.loads(), loads + 1);
    rig.write(&here, 5, 1).await;
    pass(DEAF_AFTER).await;
    let after = ask();
    pass(Duration::from_millis(50)).await;
    rig.repository.release_loads();
    assert_eq!((before.await.unwrap(), after.await.unwrap()), (0, 1), "it doesn't join what is that old");
}

/// A node that hears joins a load however long it takes: an invalidation would have detached it.
#[tokio::test(start_paused = true)]
async fn a_node_that_hears_joins_a_long_load() {
    let rig = Rig::new();
    let [_, there] = rig.two().await;
    rig.repository.set_delay(Duration::from_secs(4));
    let ask = || {
        let there = there.clone();
        tokio::spawn(async move { there.get(5).await.unwrap().unwrap().version })
    };
    let loads = rig.repository.loads();
    let before = ask();
    pass(Duration::from_secs(3)).await;
    let after = ask();
    assert_eq!((before.await.unwrap(), after.await.unwrap()), (0, 0));
    assert_eq!((rig.repository.loads() - loads, there.stats().followed), (1, 1));
}

/// What can't be read may have been an invalidation; another run of the server may have forgotten what it was told; a
/// subscription that ends has lost something: each makes the node deaf at once, and it subscribes anew.
#[tokio::test(start_paused = true)]
async fn what_may_have_been_lost_makes_deaf_at_once() {
    for what in ["unreadable", "another run", "the end"] {
        let rig = Rig::new();
        let [_, there] = rig.two().await;
        match what {
            "unreadable" => rig.tier.say(&Message::Unreadable),
            "another run" => {
                rig.tier.set_run("another");
                pass(Duration::from_millis(251)).await;
            }
            _ => rig.tier.memory().cut(),
        }
        settle().await;
        let deaf = stats(&there);
        assert!(deaf.deaf_for.is_some(), "{what}");
        assert_eq!(deaf.unreadable, u64::from(what == "unreadable"));
        pass(Duration::from_millis(101)).await;
        let again = stats(&there);
        assert_eq!((again.deaf_for, again.subscriptions), (None, 2), "{what}");
        assert_eq!((source(&there, 1).await, source(&there, 1).await), (Level::L2, Level::L1), "{what}");
    }
}

/// The machine slept: what was told meanwhile may be lost, though its connections stand. Its own clock doesn't say so.
#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_is_deaf_once_the_listener_runs() {
    let rig = Rig::new();
    let [_, there] = rig.two().await;
    rig.manual.suspend(Duration::from_secs(3_600));
    pass(Duration::from_millis(251)).await;
    assert!(stats(&there).deaf_for.is_some(), "within beat_every");
    pass(Duration::from_millis(101)).await;
    assert_eq!((stats(&there).deaf_for, stats(&there).subscriptions), (None, 2));
    assert_eq!(source(&there, 1).await, Level::L2);
}

/// A heartbeat that hangs holds up no hearing, and makes deaf as one that is lost.
#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_hangs_holds_up_no_hearing() {
    let rig = Rig::new();
    let [here, there] = rig.two().await;
    rig.tier.set_hanging(true);
    pass(Duration::from_millis(300)).await;
    let keys = stats(&there).keys;
    rig.write(&here, 1, 1).await;
    settle().await;
    assert_eq!(stats(&there).keys, keys + 2);
    assert_eq!(version(&there, 1).await, (1, Level::Origin));
    // None is sent while one hangs: each hangs for `deaf_after`.
    let beats = rig.tier.beats();
    pass(Duration::from_secs(10)).await;
    assert!(rig.tier.beats() - beats <= 24, "{}", rig.tier.beats() - beats);
}

/// While nobody confirms, attempts are few: each waits longer, up to the most.
#[tokio::test(start_paused = true)]
async fn subscriptions_are_tried_ever_more_seldom() {
    let rig = Rig::new();
    rig.tier.set_refusing(true);
    let films = rig.films();
    films.get(1).await.unwrap();
    pass(Duration::from_secs(60)).await;
    let tried = rig.tier.subscribed();
    assert!((30..=70).contains(&tried), "{tried} in a minute, of 1 to 2 s each at last");
    assert_eq!(stats(&films).subscriptions, 0);
    rig.tier.set_refusing(false);
    pass(Duration::from_secs(2)).await;
    assert_eq!((stats(&films).deaf_for, stats(&films).subscriptions), (None, 1));
    // L2 that doesn't answer is no error of a lookup.
    rig.tier.memory().set_outage(true);
    assert_eq!(films.invalidate([1]).await.unwrap_err().kind(), ErrorKind::Undelivered);
    films.get(1).await.unwrap();
}

/// So while each subscription ends soon after it was heard, as by a server whose buffer is too small for what is told; one that
/// held is made anew at once.
#[tokio::test(start_paused = true)]
async fn a_subscription_that_ends_again_and_again_is_made_ever_more_seldom() {
    let rig = Rig::new();
    let [_, there] = rig.two().await;
    for _ in 0..1_200 {
        pass(Duration::from_millis(50)).await;
        rig.tier.memory().cut();
    }
    let made = stats(&there).subscriptions;
    assert!((30..=70).contains(&made), "{made} in a minute, one in 1 to 2 s at last");
    pass(Duration::from_secs(2)).await;
    let made = stats(&there).subscriptions;
    pass(Duration::from_secs(2)).await;
    assert_eq!((stats(&there).deaf_for, stats(&there).subscriptions), (None, made));
    rig.tier.memory().cut();
    pass(Duration::from_millis(101)).await;
    assert_eq!((stats(&there).deaf_for, stats(&there).subscriptions), (None, made + 1));
}
