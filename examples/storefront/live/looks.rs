//! Whether the page can be read: light and dark, wide and narrow.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::browser::{Browser, Scheme};

/// Pixels: a telephone's, and a desk's.
const WIDTHS: [u32; 2] = [400, 1_400];

/// Fewer texts than these are no page.
const TEXTS: u64 = 50;

pub(super) struct Looks<'a> {
    pictures: Option<&'a Path>,
}

impl<'a> Looks<'a> {
    /// Pictures of all that is looked at go into the directory, if there is one.
    ///
    /// # Errors
    /// When it can't be made.
    pub(super) fn new(pictures: Option<&'a Path>) -> Result<Looks<'a>> {
        if let Some(directory) = pictures {
            std::fs::create_dir_all(directory)?;
        }
        Ok(Looks { pictures })
    }

    pub(super) fn keeps_pictures(&self) -> bool {
        self.pictures.is_some()
    }

    /// # Errors
    /// At a text with too little contrast, something that is wider than the window, and if light and dark are the same.
    pub(super) async fn check(&self, browser: &Browser, name: &str) -> Result<()> {
        let mut grounds = Vec::new();
        for scheme in [Scheme::Dark, Scheme::Light] {
            for width in WIDTHS {
                browser.look(scheme, width).await?;
                let looks = browser.run(include_str!("audit.js")).await?;
                let wrong = looks["wrong"].as_array().context("no audit")?;
                ensure!(wrong.is_empty(), "{name}, {scheme:?}, {width} pixels: {wrong:#?}");
                ensure!(looks["texts"].as_u64() > Some(TEXTS), "it has looked at {} texts", looks["texts"]);
                grounds.push(looks["ground"].clone());
                if let Some(directory) = self.pictures {
                    let scheme = format!("{scheme:?}").to_lowercase();
                    browser.picture(&directory.join(format!("{name}-{scheme}-{width}.png"))).await?;
                }
            }
        }
        ensure!(grounds[0] == grounds[1] && grounds[2] == grounds[3], "a scheme has one ground: {grounds:?}");
        ensure!(grounds[0] != grounds[2], "light and dark have the same ground: {grounds:?}");
        println!("{name}: light and dark, wide and narrow, can be read");
        Ok(())
    }
}
