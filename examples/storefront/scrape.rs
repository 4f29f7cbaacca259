//! A scrape, read as Prometheus reads it: the text exposition format.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};

/// The meter of the caches' instruments, on each of their samples.
const METER: (&str, &str) = ("otel_scope_name", "tierstack");

struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

pub(crate) struct Scrape {
    samples: Vec<Sample>,
}

impl Scrape {
    /// Keeps what the caches measured.
    ///
    /// # Errors
    /// At a line that is neither a comment nor a sample.
    pub(crate) fn read(text: &str) -> Result<Scrape> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let samples = lines.map(|line| sample(line).with_context(|| format!("no sample: {line}")));
        let mut samples = samples.collect::<Result<Vec<_>>>()?;
        samples.retain(|sample| sample.labels.get(METER.0).is_some_and(|meter| meter == METER.1));
        Ok(Scrape { samples })
    }

    /// Names of samples: those of a histogram end in `_bucket`, `_sum` and `_count`.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.samples.iter().map(|sample| &*sample.name).collect()
    }

    /// Whether samples of that name bear the label.
    pub(crate) fn has(&self, name: &str, label: &str) -> bool {
        self.samples.iter().any(|sample| sample.name == name && sample.labels.contains_key(label))
    }

    /// The sum over all samples of that name that bear these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let bears = |sample: &Sample| {
            labels.iter().all(|&(label, value)| sample.labels.get(label).is_some_and(|is| is == value))
        };
        let samples = self.samples.iter().filter(|sample| sample.name == name && bears(sample));
        samples.map(|sample| sample.value).sum()
    }
}

/// `name{label="value",…} 1`
fn sample(line: &str) -> Result<Sample> {
    let (name, mut rest) = line.split_once('{').context("no labels")?;
    let mut labels = BTreeMap::new();
    while !rest.starts_with('}') {
        let (label, value) = rest.split_once("=\"").context("no label")?;
        let end = value.find('"').context("no end of a label")?;
        if value[..end].contains('\\') {
            bail!("a value with an escape is none of ours");
        }
        labels.insert(label.trim_start_matches(',').to_owned(), value[..end].to_owned());
        rest = &value[end + 1..];
    }
    Ok(Sample { name: name.to_owned(), labels, value: rest[1..].trim().parse()? })
}
