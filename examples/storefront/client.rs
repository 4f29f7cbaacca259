//! The smallest HTTP/1.1 client that will do: one connection per request, which the server closes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A server that takes longer is taken for dead.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) cache_status: Option<String>,
    pub(crate) body: Value,
    pub(crate) took: Duration,
}

/// Sends a request, with a JSON body unless that is empty, and reads the whole answer.
///
/// # Errors
/// When the server can't be reached, or answers something else than HTTP with a JSON body.
#[expect(clippy::disallowed_methods, reason = "the table shows how long it took; nothing depends on it")]
pub(crate) async fn ask(server: SocketAddr, method: &str, path: &str, body: &str) -> Result<Answer> {
    let start = Instant::now();
    let text =
        tokio::time::timeout(PATIENCE, exchange(server, method, path, body)).await.context("timeout")??;
    let took = start.elapsed();
    let (head, body) = text.split_once("\r\n\r\n").context("no end of headers")?;
    let mut lines = head.split("\r\n");
    let code = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status line")?;
    let cache_status = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("cache-status").then(|| value.trim().to_owned())
    });
    let body = serde_json::from_str(body).with_context(|| format!("no JSON: {body}"))?;
    Ok(Answer { code: code.parse()?, cache_status, body, took })
}

async fn exchange(server: SocketAddr, method: &str, path: &str, body: &str) -> Result<String> {
    let mut stream = TcpStream::connect(server).await?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}
