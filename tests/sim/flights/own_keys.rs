//! A waiter waits for its own keys only.

use std::time::Duration;

use tests::End;
use tierstack_core::{ErrorKind, Level, Lookup};
use tokio::time::Instant;

use super::rig::{Shape, ask, ask_all, in_every_stack, is_after, pass, row};

/// A key found in L2 is answered at once, though a batch that asked for it first waits for another key's load, which
/// never ends.
#[test]
fn what_l2_holds_is_answered_while_another_key_is_loaded() {
    in_every_stack(async |rig| {
        if rig.shape == Shape::NoL2 {
            return;
        }
        rig.films().get(1).await.unwrap();
        rig.origin.next(2, [End::Never]);
        let films = rig.films();
        let batch = {
            let (films, lookup) = (films.clone(), Lookup::batch([1, 2]).deadline(rig.in_ms(300)));
            tokio::spawn(async move { films.lookup(lookup).await })
        };
        let began = Instant::now();
        let at_once = ask(&films, 1);
        pass(10).await;
        assert!(at_once.is_finished(), "asked at the same instant");
        let asked = Instant::now();
        row(ask(&films, 1)).await;
        is_after(asked, 0);

        let mut outcomes = batch.await.unwrap().unwrap().into_iter();
        is_after(began, 300);
        let (key, found) = outcomes.next().unwrap();
        let found = found.unwrap().unwrap();
        assert_eq!((key, found.source, found.entry.into_present().unwrap().film_id), (1, Level::L2, 1));
        let (key, late) = outcomes.next().unwrap();
        assert_eq!((key, late.unwrap_err().kind()), (2, ErrorKind::Timeout));
        assert_eq!((rig.origin.loads_of(1), rig.origin.loads_of(2)), (1, 1));
    });
}

/// A batch that is late for one key tells what it found of the others, in its error.
#[test]
fn a_late_batch_tells_what_it_found() {
    in_every_stack(async |mut rig| {
        rig.settings.lookup_timeout = Duration::from_millis(300);
        rig.settings.wait_for_load = Duration::from_millis(100);
        let films = rig.films();
        films.get(1).await.unwrap();
        rig.origin.next(2, [End::Never]);
        let stuck = ask(&films, 2);
        pass(10).await;
        let began = Instant::now();
        let failed = ask_all(&films, [1, 2, 3]).await.unwrap().unwrap_err();
        is_after(began, 300);
        assert_eq!(failed.error().kind(), ErrorKind::Timeout);
        let outcomes = failed.into_outcomes();
        assert_eq!(outcomes[0].as_ref().unwrap().as_ref().unwrap().film_id, 1, "it was in a tier");
        assert_eq!(outcomes[1].as_ref().unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(outcomes[2].as_ref().unwrap().as_ref().unwrap().film_id, 3, "it was loaded meanwhile");
        assert!(stuck.await.unwrap().is_err());
    });
}

/// Whoever follows a batch for one of its keys is answered when that is there, though the batch itself waits for another.
#[test]
fn a_follower_of_one_key_does_not_wait_for_its_leaders_other_keys() {
    in_every_stack(async |rig| {
        rig.origin.next(2, [End::Value.after(1_000)]);
        rig.origin.next(3, [End::Value.after(100)]);
        let films = rig.films();
        let slow = ask(&films, 2);
        pass(10).await;
        let both = ask_all(&films, [2, 3]);
        pass(10).await;
        let began = Instant::now();
        row(ask(&films, 3)).await;
        is_after(began, 90);
        assert!(!both.is_finished() && !slow.is_finished());
        assert_eq!(both.await.unwrap().unwrap().len(), 2);
        assert_eq!((rig.origin.loads_of(2), rig.origin.loads_of(3)), (1, 1));
    });
}
