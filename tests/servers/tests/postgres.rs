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
