//! `grafana.json` held against a scrape: each name in it is one that the caches emit, and each that they emit is shown or
//! known not to be.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::scrape::Scrape;

/// Scraped, and in no panel: for whoever looks for the reason of what a panel shows.
const NOT_SHOWN: &[&str] = &[
    "cache_bus_beats_lost_total",
    "cache_bus_messages_total",
    "cache_bus_subscriptions_total",
    "cache_bus_unreadable_total",
    "cache_invalidate_duration_seconds",
    "cache_unfillable_total",
    "cache_write_puts_total",
    "cache_write_requests_total",
    "cache_writes_total",
];

/// The words of PromQL that the dashboard uses. Whatever else stands outside of braces is a metric.
const WORDS: &[&str] = &["by", "histogram_quantile", "max", "rate", "scalar", "sum"];

/// # Errors
/// At the first name that is not scraped, and at a panel that lacks what its reader needs.
pub(crate) fn check(scrape: &Scrape) -> Result<()> {
    let dashboard: Value = serde_json::from_str(include_str!("grafana.json"))?;
    let source = &dashboard["templating"]["list"][0];
    ensure!(source["type"] == "datasource" && source["query"] == "prometheus", "no variable for the source");
    let scraped = scrape.names();
    let mut shown = BTreeSet::new();
    let mut ids = BTreeSet::new();
    let panels = dashboard["panels"].as_array().context("no panels")?;
    for panel in panels {
        let title = panel["title"].as_str().context("a panel without a title")?;
        let of_panel = names_in(panel, scrape).with_context(|| title.to_owned())?;
        ensure!(!of_panel.is_empty(), "{title}: shows nothing");
        ensure!(ids.insert(panel["id"].as_i64()), "{title}: the id of another panel");
        shown.extend(of_panel);
    }
    for name in &scraped {
        let is_shown = shown.iter().any(|shown| family(shown) == family(name));
        let is_listed = NOT_SHOWN.contains(&family(name));
        ensure!(is_shown || is_listed, "{name} is scraped, and neither shown nor in the list of what is not");
        ensure!(!(is_shown && is_listed), "{name} is shown, and in the list of what is not");
    }
    for listed in NOT_SHOWN {
        ensure!(scraped.iter().any(|name| family(name) == *listed), "{listed} is listed, and not scraped");
    }
    println!("{} panels name {} metrics, and each is scraped", panels.len(), shown.len());
    Ok(())
}

/// The metrics of a panel, each with its labels held against the scrape.
fn names_in(panel: &Value, scrape: &Scrape) -> Result<BTreeSet<String>> {
    let said = |text: &Value| text.as_str().is_some_and(|text| !text.is_empty() && !text.contains('\n'));
    ensure!(said(&panel["description"]), "has no description in one line");
    ensure!(said(&panel["fieldConfig"]["defaults"]["unit"]), "has no unit");
    let mut all = BTreeSet::new();
    for target in panel["targets"].as_array().context("asks nothing")? {
        ensure!(target["datasource"]["uid"] == "${datasource}", "asks another source");
        let expr = target["expr"].as_str().context("has a target without an expression")?;
        let (metrics, labels) = names(expr).with_context(|| expr.to_owned())?;
        for metric in metrics {
            ensure!(scrape.names().contains(&*metric), "{metric} is not scraped");
            for label in &labels {
                ensure!(scrape.has(&metric, label), "{metric} has no label {label}");
            }
            all.insert(metric);
        }
    }
    Ok(all)
}

/// The metrics and the labels that an expression names.
fn names(expr: &str) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let (mut metrics, mut labels) = (BTreeSet::new(), BTreeSet::new());
    let mut rest = expr;
    // What ends the labels that are being read, and the word before.
    let (mut until, mut word) = (None, "");
    while let Some(next) = rest.chars().next() {
        let name = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
        let (head, tail) = rest.split_at(name.unwrap_or(rest.len()));
        match next {
            '"' => rest = rest[1..].split_once('"').context("a text without an end")?.1,
            '[' => rest = rest.split_once(']').context("a range without an end")?.1,
            // A number.
            _ if next.is_ascii_digit() => rest = tail,
            _ if head.is_empty() => {
                match next {
                    '{' => until = Some('}'),
                    '(' if word == "by" => until = Some(')'),
                    _ if until == Some(next) => until = None,
                    '$' => bail!("a variable outside of a range"),
                    _ => {}
                }
                rest = &rest[next.len_utf8()..];
                if next != ' ' {
                    word = "";
                }
            }
            _ => {
                match until {
                    Some(_) => drop(labels.insert(head.to_owned())),
                    None if WORDS.contains(&head) => word = head,
                    None => drop(metrics.insert(head.to_owned())),
                }
                rest = tail;
            }
        }
    }
    Ok((metrics, labels))
}

/// A histogram is several samples.
fn family(name: &str) -> &str {
    let suffixes = ["_bucket", "_sum", "_count"];
    suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}
