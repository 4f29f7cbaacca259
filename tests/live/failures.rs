//! Ten thousand callers of an origin that fails: few statements, one error for all, and nothing of it is kept.

use tests::crowd::{Found, bounded};
use tests::{Film, film};
use tierstack_core::{Error, ErrorKind};
use tierstack_postgres::tokio_postgres;
use tierstack_postgres::tokio_postgres::error::SqlState;

use crate::rig::Rig;
use crate::stampede::{CALLERS, ask_while_held, warm_node};

/// Films can't be read: each statement that tries draws a number, which no rollback takes back, and fails.
/// `pg_stat_statements` counts no statement that failed.
const REFUSE: &str = "CREATE SEQUENCE refused; \
    CREATE FUNCTION refuse() RETURNS bool LANGUAGE plpgsql AS \
    $$ BEGIN PERFORM nextval('refused'); RAISE EXCEPTION 'refused'; END $$; \
    ALTER TABLE film RENAME TO film_row; \
    CREATE VIEW film AS WITH no AS MATERIALIZED (SELECT refuse()) \
    SELECT film_row.* FROM no CROSS JOIN film_row";

const GONE: &str = "DROP VIEW film";
const BACK: &str = "ALTER TABLE film_row RENAME TO film";

/// How many statements were refused.
fn refused(rig: &Rig) -> u64 {
    rig.number("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM refused")
}

/// Postgres's own error below ours.
fn cause(error: &Error) -> &tokio_postgres::Error {
    assert_eq!(error.kind(), ErrorKind::Origin);
    error.downcast_ref().expect("the client's error is a cause")
}

fn errors(found: Vec<Found>, code: &SqlState) -> Vec<Error> {
    let errors: Vec<Error> = found.into_iter().map(Result::unwrap_err).collect();
    assert!(errors.iter().all(|error| cause(error).code() == Some(code)));
    errors
}

/// Each caller gets the error with Postgres's own below it: one for all of a key. When the table is back, so are the rows.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_to_all_and_kept_for_nobody() {
    bounded(async {
        let rig = Rig::new();
        let rows: Vec<Film> = (0..1_000).map(film).collect();
        rig.insert(&rows).await;
        let films = warm_node(&rig).await;
        let alter = async |sql: &str| rig.pool.get().await.unwrap().batch_execute(sql).await.unwrap();
        alter(REFUSE).await;

        let one = ask_while_held(&rig, &films, (0..CALLERS).map(|_| 7)).await.found().await;
        let one = errors(one, &SqlState::RAISE_EXCEPTION);
        assert!(one.iter().all(|error| std::ptr::eq(cause(error), cause(&one[0]))), "one error for all");
        assert_eq!((refused(&rig), films.stats().failed_loads), (1, 1));

        let many = ask_while_held(&rig, &films, (0..CALLERS).map(|n| n % 1_000)).await.found().await;
        errors(many, &SqlState::RAISE_EXCEPTION);
        let failed = refused(&rig);
        println!("{} statements failed for 1,000 keys", failed - 1);
        assert!((2..=7).contains(&failed), "{failed}");

        alter(GONE).await;
        let gone = ask_while_held(&rig, &films, (0..CALLERS).map(|n| n % 1_000)).await.found().await;
        errors(gone, &SqlState::UNDEFINED_TABLE);
        let stats = films.stats();
        assert_eq!((stats.errors, stats.keys()), (3 * CALLERS as u64, 3 * CALLERS as u64 + 1));
        assert!(stats.failed_loads <= 13, "{}", stats.failed_loads);

        alter(BACK).await;
        assert_eq!(*films.get(7).await.unwrap().unwrap(), film(7), "no error is kept");
        let found = films.objects_by_pks(0..1_000).await.unwrap();
        assert!((0..1_000).zip(found).all(|(key, row)| *row.unwrap() == film(key)));
        assert_eq!(films.stats().waits, 0, "every right was given up");
    })
    .await;
}
