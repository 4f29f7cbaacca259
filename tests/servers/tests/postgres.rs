//! A private Postgres does what a live test asks of it.

use tierstack_servers::Postgres;

/// Proves the whole of the interface on one server, since each takes a second to make.
#[test]
fn a_private_postgres_serves_databases() {
    let postgres = Postgres::start_with(&["-c", "wal_level=logical"]).unwrap();
    assert_eq!(postgres.url(), format!("postgres://postgres@127.0.0.1:{}/postgres", postgres.port()));
    postgres.require_statements().unwrap();
    assert_eq!(postgres.psql("postgres", "show wal_level").unwrap(), "logical");
    assert_eq!(postgres.psql("postgres", "show fsync").unwrap(), "off");

    postgres.create_database("shop \"1\"").unwrap();
    assert!(postgres.create_database("shop \"1\"").is_err(), "it is there already");

    postgres.create_database("shop").unwrap();
    let file = postgres.dir().unwrap().join("shop.sql");
    std::fs::write(&file, "create table t (a int, b text); insert into t values (1, 'x'), (2, null);")
        .unwrap();
    postgres.load_file("shop", &file).unwrap();
    assert_eq!(postgres.psql("shop", "select * from t order by a").unwrap(), "1|x\n2|");
    let error = postgres.load_file("shop", &file).unwrap_err();
    assert!(format!("{error:#}").contains("already exists"), "{error:#}");
    assert!(postgres.psql("postgres", "select * from t").is_err(), "another database");
}

/// Proves that a server that can't run says why, in its own words.
#[test]
fn a_server_that_refuses_its_arguments_says_so() {
    let error = Postgres::start_with(&["-c", "no_such_setting=1"]).unwrap_err();
    assert!(format!("{error:#}").contains("no_such_setting"), "{error:#}");
}

/// Proves that a standby follows its primary, until it is promoted.
#[test]
fn a_standby_follows_until_it_is_promoted() {
    let primary = Postgres::start().unwrap();
    primary.psql("postgres", "create table t (a int); insert into t values (1)").unwrap();
    let standby = primary.start_standby().unwrap();
    assert_eq!(standby.psql("postgres", "select a, pg_is_in_recovery() from t").unwrap(), "1|t");
    assert!(standby.psql("postgres", "insert into t values (2)").is_err(), "it is read-only");
    primary.psql("postgres", "set synchronous_commit = off; insert into t values (2)").unwrap();
    let caught_up = "select pg_last_wal_replay_lsn() >= ";
    let at = primary.psql("postgres", "select pg_current_wal_insert_lsn()").unwrap();
    while standby.psql("postgres", &format!("{caught_up} '{at}'")).unwrap() != "t" {}
    assert_eq!(standby.psql("postgres", "select count(*) from t").unwrap(), "2");
    assert_eq!(standby.psql("postgres", "select pg_promote()").unwrap(), "t");
    standby.psql("postgres", "insert into t values (3)").unwrap();
    assert_eq!(primary.psql("postgres", "select count(*) from t").unwrap(), "2");
}
