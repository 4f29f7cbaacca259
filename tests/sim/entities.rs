//! What keeps one entity's rows from being taken for another's.

use std::sync::Arc;
use std::task::{Context, Poll};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tierstack_core::{Answers, BoxFuture, Counters, Entity, Error, ErrorKind, Lookup, Schema, origin_fn};
use tower::{Layer, Service, ServiceExt};

use crate::shop::Shop;

macro_rules! order_line {
    ($name:ident, $schema:expr) => {
        #[derive(Debug, Serialize, Deserialize)]
        struct $name {
            order_id: i32,
            line: i32,
        }

        impl Entity for $name {
            type Pk = (i32, i32);

            fn schema() -> Schema {
                $schema
            }

            fn pk(&self) -> (i32, i32) {
                (self.order_id, self.line)
            }
        }
    };
}

fn lines() -> Schema {
    Schema::table("line").pk(["order_id", "line"]).columns(["order_id", "line"])
}

order_line!(Line, lines());
order_line!(LineOfA, lines().in_schema("a"));
order_line!(LineOfB, lines().in_schema("b"));
order_line!(Turned, lines().pk(["line", "order_id"]).projection("turned"));

/// Tables of one name in two schemas of the database are two entities: neither answers for the other.
#[tokio::test(start_paused = true)]
async fn tables_of_one_name_in_two_database_schemas_share_no_row() {
    let shop = Shop::new(0);
    let node = shop.node();
    let a = origin_fn(|pks: Vec<(i32, i32)>| async move {
        let rows = pks.into_iter().map(|pk| (pk, LineOfA { order_id: pk.0, line: pk.1 }));
        Ok::<_, std::io::Error>(rows.collect())
    });
    let none =
        origin_fn(
            |_: Vec<(i32, i32)>| async move { Ok::<Vec<((i32, i32), LineOfB)>, std::io::Error>(vec![]) },
        );
    let a = node.cache::<LineOfA>().origin(a).build().unwrap();
    let b = node.cache::<LineOfB>().origin(none).build().unwrap();
    assert!(a.get((1, 2)).await.unwrap().is_some());
    assert!(b.get((1, 2)).await.unwrap().is_none());
    assert_ne!(a.key_text((1, 2)).unwrap(), b.key_text((1, 2)).unwrap());
}

/// A projection that names the key's columns in another order would invalidate other rows than it was told.
#[test]
fn a_projection_with_other_key_columns_is_refused() {
    let shop = Shop::new(0);
    let node = shop.node();
    let rows =
        origin_fn(|_: Vec<(i32, i32)>| async move { Ok::<Vec<((i32, i32), Line)>, std::io::Error>(vec![]) });
    let turned =
        origin_fn(
            |_: Vec<(i32, i32)>| async move { Ok::<Vec<((i32, i32), Turned)>, std::io::Error>(vec![]) },
        );
    let _rows = node.cache::<Line>().origin(rows).build().unwrap();
    let error = node.cache::<Turned>().origin(turned).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("primary key columns"), "{error}");
}

/// A service that turns the order of what is below it.
#[derive(Clone)]
struct Turns<S>(S);

impl<S> Service<Lookup<i32>> for Turns<S>
where
    S: Service<Lookup<i32>, Response = Answers<i32, String>, Error = Error, Future: Send + 'static> + Clone,
{
    type Response = Answers<i32, String>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Answers<i32, String>, Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, lookup: Lookup<i32>) -> Self::Future {
        let answers = self.0.call(lookup);
        Box::pin(async move {
            let mut rows: SmallVec<[_; 1]> = answers.await?.into_iter().collect();
            rows.reverse();
            Ok(Answers::new(rows))
        })
    }
}

/// A service below L2 that answers other keys than were asked, or in another order, is told so: no row is stored under
/// another's key.
#[tokio::test(start_paused = true)]
async fn answers_in_another_order_are_an_error() {
    let shop = Shop::new(0);
    let counters = Arc::new(Counters::default());
    let repository = tower::service_fn(|keys: Vec<i32>| async move {
        Ok::<_, Error>(keys.into_iter().map(|key| (key, key.to_string())).collect::<Vec<_>>())
    });
    let below = Turns(shop.origin_layer::<String>(&counters).layer(repository));
    let stack = shop.l2_layer::<String>(1, &counters).layer(below);
    for (_, outcome) in stack.oneshot(Lookup::batch([1, 2])).await.unwrap() {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Loader);
    }
    assert!(shop.tier.keys().is_empty(), "nothing was stored, and no right is left");
}
