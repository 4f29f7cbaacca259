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
    pub(crate) content_type: Option<String>,
    pub(crate) cache_status: Option<String>,
    /// A text that is no JSON is a string.
    pub(crate) body: Value,
    pub(crate) took: Duration,
}

/// Sends a request, with a JSON body unless that is empty, and reads the whole answer.
///
/// # Errors
/// When the server can't be reached, or answers something else than HTTP with JSON or text.
#[expect(clippy::disallowed_methods, reason = "the table shows how long it took; nothing depends on it")]
pub(crate) async fn ask(server: SocketAddr, method: &str, path: &str, body: &str) -> Result<Answer> {
    let start = Instant::now();
    let text =
        tokio::time::timeout(PATIENCE, exchange(server, method, path, body)).await.context("timeout")??;
    let took = start.elapsed();
    let (head, body) = text.split_once("\r\n\r\n").context("no end of headers")?;
    let mut lines = head.split("\r\n");
    let code = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status line")?;
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let header = |wanted: &str| {
        let mut values = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        values.next().map(|(_, value)| value.trim().to_owned())
    };
    let content_type = header("content-type");
    let body = match &content_type {
        Some(text) if text.starts_with("text/plain") => Value::from(body),
        _ => serde_json::from_str(body).with_context(|| format!("no JSON: {body}"))?,
    };
    Ok(Answer { code: code.parse()?, content_type, cache_status: header("cache-status"), body, took })
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
