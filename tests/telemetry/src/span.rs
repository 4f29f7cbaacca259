//! Spans as a receiver sees them, whichever way they came.

use std::collections::BTreeMap;

/// Sums, by the name of the metric and its labels.
pub type Sums = BTreeMap<(String, BTreeMap<String, String>), u64>;

/// A span that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// Its trace and itself.
    pub id: (Vec<u8>, Vec<u8>),
    /// Its parent; empty if it is a root.
    pub parent: Vec<u8>,
    /// Whether it is that of a client.
    pub is_client: bool,
    /// Whether its status is an error.
    pub failed: bool,
    /// Its attributes, as text.
    pub attributes: BTreeMap<String, String>,
    /// What it is linked to.
    pub links: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Seen {
    /// An attribute; empty if it has none of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// Whether it is a child of `parent`.
    #[must_use]
    pub fn is_in(&self, parent: &Seen) -> bool {
        self.id.0 == parent.id.0 && self.parent == parent.id.1
    }

    /// Whether it is linked to `other`.
    #[must_use]
    pub fn leads_to(&self, other: &Seen) -> bool {
        self.links.contains(&other.id)
    }
}

/// All that have ended.
#[derive(Clone, Debug, Default)]
pub struct Spans(pub Vec<Seen>);

impl Spans {
    /// Those of a name, in the order in which they ended.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<&Seen> {
        self.0.iter().filter(|span| span.name == name).collect()
    }

    /// The only one of a name.
    ///
    /// # Panics
    /// If there is none, or another.
    #[must_use]
    pub fn one(&self, name: &str) -> &Seen {
        let found = self.named(name);
        assert_eq!(found.len(), 1, "{name}, of:\n{self}");
        found[0]
    }

    /// The children of a span.
    #[must_use]
    pub fn children<'a>(&'a self, of: &Seen) -> Vec<&'a Seen> {
        self.0.iter().filter(|span| span.is_in(of)).collect()
    }
}

impl std::fmt::Display for Spans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        fn show(
            spans: &Spans,
            span: &Seen,
            depth: usize,
            f: &mut std::fmt::Formatter<'_>,
        ) -> std::fmt::Result {
            writeln!(
                f,
                "{}{} {:?} ({} links)",
                "  ".repeat(depth),
                span.name,
                span.attributes,
                span.links.len()
            )?;
            spans.children(span).into_iter().try_for_each(|child| show(spans, child, depth + 1, f))
        }
        let is_root = |span: &&Seen| !self.0.iter().any(|other| span.is_in(other));
        self.0.iter().filter(is_root).try_for_each(|root| show(self, root, 0, f))
    }
}
