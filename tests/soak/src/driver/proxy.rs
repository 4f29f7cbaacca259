//! A TCP proxy between a node and a server, which delays, keeps or cuts what passes.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// What becomes of what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Pass,
    /// Each piece waits this long, either way.
    Delay(Duration),
    /// What the server says is kept until the mode changes: it hears, and seems silent.
    Silent,
    /// Connections end, and no new one holds.
    Cut,
}

pub(crate) struct Proxy {
    pub(crate) port: u16,
    mode: watch::Sender<Mode>,
}

impl Proxy {
    /// A proxy before the server at that port of this machine.
    pub(crate) fn start(runtime: &Runtime, server: u16) -> Result<Proxy> {
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let port = listener.local_addr()?.port();
        let (mode, modes) = watch::channel(Mode::Pass);
        runtime.spawn(async move {
            // Bounded by what a node's pools open.
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, (Ipv4Addr::LOCALHOST, server).into(), modes.clone()));
            }
        });
        Ok(Proxy { port, mode })
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn serve(client: TcpStream, server: SocketAddr, mut modes: watch::Receiver<Mode>) {
    if *modes.borrow() == Mode::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    // Else small pieces wait for each other, which the servers' own connections don't do.
    if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
        return;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Either end ends both.
    tokio::select! {
        _ = pump(from_client, to_server, modes.clone(), false) => {}
        _ = pump(from_server, to_client, modes.clone(), true) => {}
        _ = modes.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut modes: watch::Receiver<Mode>,
    is_reply: bool,
) -> std::io::Result<()> {
    let mut piece = vec![0; 16 << 10];
    loop {
        let read = from.read(&mut piece).await?;
        if read == 0 {
            return Ok(());
        }
        let mode = *modes.borrow();
        match mode {
            Mode::Delay(by) => tokio::time::sleep(by).await,
            Mode::Silent if is_reply => {
                // The sender outlives every connection.
                let _ = modes.wait_for(|mode| *mode != Mode::Silent).await;
            }
            Mode::Pass | Mode::Silent | Mode::Cut => {}
        }
        to.write_all(&piece[..read]).await?;
    }
}
