//! A way to Postgres that breaks when COMMIT goes over it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tierstack_postgres::tokio_postgres::{Client, Config, NoTls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Where it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// COMMIT never arrives.
    Before,
    /// COMMIT arrives, and its answer doesn't.
    After,
}

/// A client whose connection breaks at its first COMMIT, and whether it has.
pub(crate) async fn cut_off(url: &str, cut: Cut) -> (Client, Arc<AtomicBool>) {
    let config: Config = url.parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let upstream = TcpStream::connect(("127.0.0.1", config.get_ports()[0])).await.unwrap();
    let is_cut = Arc::new(AtomicBool::new(false));
    tokio::spawn(pass(listener, upstream, cut, is_cut.clone()));
    let mut through = Config::new();
    through.host("127.0.0.1").port(port);
    through.user(config.get_user().unwrap()).dbname(config.get_dbname().unwrap());
    let (client, connection) = through.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    (client, is_cut)
}

async fn pass(listener: TcpListener, upstream: TcpStream, cut: Cut, is_cut: Arc<AtomicBool>) {
    let (down, _) = listener.accept().await.unwrap();
    let (mut from_client, mut to_client) = down.into_split();
    let (mut from_server, mut to_server) = upstream.into_split();
    let answers = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut bytes = vec![0; 64 << 10];
    loop {
        let count = from_client.read(&mut bytes).await.unwrap_or(0);
        let part = &bytes[..count];
        let is_commit = part.windows(7).any(|word| word == b"COMMIT\0");
        if count == 0 {
            break;
        }
        if is_commit {
            // Its end of the answers goes with the task, and so does the client's connection.
            answers.abort();
            let _ = answers.await;
            is_cut.store(true, Ordering::Relaxed);
            drop(from_client);
            if cut == Cut::After {
                to_server.write_all(part).await.unwrap();
                // Held open until the runtime ends: it is the answer that is lost, not the session.
                std::future::pending::<()>().await;
            }
            return;
        }
        if to_server.write_all(part).await.is_err() {
            break;
        }
    }
}
