//! Headless Chromium, as far as the check looks through it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use thirtyfour::{By, ChromiumLikeCapabilities, DesiredCapabilities, LoggingPrefsLogLevel, WebDriver};
use tierstack_servers::Chromium;

/// What isn't shown by then won't be; under what a request to the driver may take, which is 120 s.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

/// Has the page's streams in reach of the check.
const STREAMS: &str = "const streams = [];
    EventSource = class extends EventSource { constructor(...all) { super(...all); streams.push(this); } };";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Light,
    Dark,
}

pub(super) struct Browser {
    // Dropped first, while its driver is there.
    driver: WebDriver,
    _chromium: Chromium,
}

impl Browser {
    /// Starts one, and opens the address.
    ///
    /// # Errors
    /// When it isn't installed, or can't open that.
    pub(super) async fn open(address: &str) -> Result<Browser> {
        let chromium = tokio::task::spawn_blocking(Chromium::start).await??;
        let mut wanted = DesiredCapabilities::chrome();
        wanted.set_binary(chromium.binary().to_str().context("Chromium's path isn't UTF-8")?)?;
        for flag in chromium.flags() {
            wanted.add_arg(&flag)?;
        }
        wanted.set_browser_log_level(LoggingPrefsLogLevel::All)?;
        let driver = WebDriver::new(chromium.url(), wanted).await?;
        driver.set_script_timeout(PATIENCE).await?;
        driver.cdp().send_raw("Page.addScriptToEvaluateOnNewDocument", json!({ "source": STREAMS })).await?;
        driver.goto(address).await?;
        Ok(Browser { driver, _chromium: chromium })
    }

    /// Waits until a condition in JavaScript holds, which is judged whenever the page changes.
    ///
    /// # Errors
    /// When it does not within [`PATIENCE`], with what the page shows.
    pub(super) async fn until(&self, condition: &str) -> Result<()> {
        let wait = format!(
            "const done = arguments[0];
             const look = () => {{ if ({condition}) {{ observer.disconnect(); done(true); }} }};
             const observer = new MutationObserver(look);
             observer.observe(document, {{ subtree: true, childList: true, attributes: true, characterData: true }});
             look();"
        );
        if let Err(error) = self.driver.execute_async(wait, []).await {
            let shown = self.figures().await?;
            return Err(error).with_context(|| format!("the page doesn't show {condition}, but {shown}"));
        }
        Ok(())
    }

    /// What an expression in JavaScript comes to.
    ///
    /// # Errors
    /// When it throws.
    pub(super) async fn value(&self, expression: &str) -> Result<Value> {
        self.run(&format!("return {expression};")).await
    }

    /// What a function's body in JavaScript returns.
    ///
    /// # Errors
    /// When it throws.
    pub(super) async fn run(&self, body: &str) -> Result<Value> {
        Ok(self.driver.execute(body.to_owned(), []).await?.json().clone())
    }

    /// The texts of all figures, by name.
    ///
    /// # Errors
    /// When the page can't be read.
    pub(super) async fn figures(&self) -> Result<Value> {
        self.value(
            "Object.fromEntries([...document.querySelectorAll('[data-figure]')]
                .map(each => [each.dataset.figure, each.textContent]))",
        )
        .await
    }

    /// # Errors
    /// When there is no such button.
    pub(super) async fn click(&self, id: &str) -> Result<()> {
        Ok(self.driver.find(By::Id(id)).await?.click().await?)
    }

    /// Shows the page in a scheme of colours, so many pixels wide, and as high as all of it.
    ///
    /// # Errors
    /// When the browser refuses.
    pub(super) async fn look(&self, scheme: Scheme, width: u32) -> Result<()> {
        let scheme = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.driver.cdp().send_raw("Emulation.setEmulatedMedia", media).await?;
        // How high it is, is known when it is that wide.
        let mut height = 900;
        for _ in 0..2 {
            let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
            self.driver.cdp().send_raw("Emulation.setDeviceMetricsOverride", size).await?;
            height =
                self.value("document.documentElement.scrollHeight").await?.as_u64().context("no height")?;
        }
        Ok(())
    }

    /// # Errors
    /// When the file can't be written.
    pub(super) async fn picture(&self, file: &Path) -> Result<()> {
        self.driver.screenshot(file).await.with_context(|| file.display().to_string())
    }

    /// # Errors
    /// When anything was written to the console since the last time.
    pub(super) async fn nothing_logged(&self) -> Result<()> {
        let log = self.driver.browser_log().await?;
        ensure!(log.is_empty(), "the console says {log:?}");
        Ok(())
    }

    /// Ends the session, and then the driver.
    ///
    /// # Errors
    /// When the browser doesn't close.
    pub(super) async fn close(self) -> Result<()> {
        Ok(self.driver.quit().await?)
    }
}
