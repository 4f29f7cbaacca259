//! The check of the page's connection: many viewers, a stream that stands still, a server that is gone and comes back.

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::browser::PATIENCE;
use super::check::{Check, SHOWN};
use super::sampler::VIEWERS;
use crate::client;
use crate::serving::Serving;

impl Check<'_> {
    pub(super) async fn viewers(&self) -> Result<()> {
        let mut streams = Vec::new();
        for _ in 1..VIEWERS {
            streams.push(self.stream().await?);
        }
        let viewers = "document.querySelector('[data-figure=viewers]').textContent";
        self.browser.until(&format!("{viewers} === '{VIEWERS} viewers are'")).await?;
        let one_more = client::ask(self.serving.address, "GET", "/live", "").await?;
        let detail = one_more.body["detail"].as_str().unwrap_or_default();
        ensure!(one_more.code == 503 && detail.contains("64"), "{}: {detail}", one_more.code);
        drop(streams);
        self.browser.until(&format!("{viewers} === '1 viewer is'")).await?;
        println!("{VIEWERS} viewers, and none more: as expected");
        Ok(())
    }

    /// A stream that stands still, as behind a network that is gone, is told, and given up for another.
    pub(super) async fn silence(&self) -> Result<()> {
        self.browser.run("streams.at(-1).onmessage = null").await?;
        self.browser.until("document.documentElement.dataset.state === 'lost'").await?;
        self.browser.until("document.documentElement.dataset.state === 'live'").await?;
        println!("a stream that stands still: told, and begun anew");
        Ok(())
    }

    /// One more viewer, who has had an event.
    async fn stream(&self) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(self.serving.address).await?;
        stream.write_all(b"GET /live HTTP/1.1\r\nhost: storefront\r\n\r\n").await?;
        let (mut heard, mut part) = (Vec::new(), [0; 4_096]);
        while !heard.windows(5).any(|word| word == b"data:") {
            let read = tokio::time::timeout(PATIENCE, stream.read(&mut part)).await??;
            ensure!(read > 0, "the stream has ended: {}", String::from_utf8_lossy(&heard));
            heard.extend_from_slice(&part[..read]);
        }
        Ok(stream)
    }

    /// The end of the server isn't held up by the page, which says so, and comes back with it.
    pub(super) async fn server_gone(self) -> Result<()> {
        let Check { serving, browser, shop, looks, .. } = self;
        let port = serving.address.port();
        let keys = browser.value(&format!("({SHOWN})('keys')")).await?;
        serving.end().await?;
        browser.until("document.documentElement.dataset.state === 'lost'").await?;
        for shown in ["document.getElementById('connection')", "document.getElementById('lost')"] {
            let text = browser.value(&format!("{shown}.innerText")).await?;
            ensure!(
                text.as_str().is_some_and(|text| text.starts_with("No connection since")),
                "it says {text}"
            );
        }
        looks.check(&browser, "lost").await?;
        println!("no connection: told");

        let again = Serving::begin(port, shop).await?;
        browser.until("document.documentElement.dataset.state === 'live'").await?;
        browser.until(&format!("({SHOWN})('keys') === {keys}")).await?;
        println!("connected again: the same totals");
        browser.close().await?;
        tokio::time::timeout(PATIENCE, again.live.rests()).await.context("it reads on, for nobody")?;
        again.end().await?;
        println!("\nall as it should be");
        Ok(())
    }
}
