//! The key template of a query: `rating={rating}:length={length}`.

use crate::key::escaped;
use crate::{Error, KeyWriter, Value};

/// A checked template: it names every parameter exactly once.
#[derive(Debug)]
pub(super) struct Template {
    /// `+name.fingerprint:`; no row key has a field that begins with `+`, and to a Redis pattern it is only itself.
    head: String,
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Literal(String),
    Param(usize),
}

/// None of these occurs in a value's text, so one between two values keeps them apart.
const SEPARATORS: [char; 5] = [':', '=', ',', '/', ';'];

impl Template {
    /// `{a}` stands for the value of parameter `a`; other characters for themselves.
    pub(super) fn parse(text: &str, params: &[Box<str>]) -> Result<Self, Error> {
        let bad = |why: String| Err(Error::invalid(format!("key template {text:?}: {why}")));
        let mut pieces = Vec::new();
        let mut used = vec![false; params.len()];
        let mut rest = text;
        while !rest.is_empty() {
            let Some(inside) = rest.strip_prefix('{') else {
                let end = rest.find(['{', '}']).unwrap_or(rest.len());
                let (literal, after) = rest.split_at(end);
                if literal.is_empty() {
                    return bad("a } has no {: remove it".into());
                }
                let odd = literal
                    .chars()
                    .find(|c| !(c.is_ascii_alphanumeric() || "_.-".contains(*c) || SEPARATORS.contains(c)));
                if let Some(odd) = odd {
                    return bad(format!(
                        "{odd:?} can't stand in a key: use letters, digits and _ . - : = , / ;"
                    ));
                }
                pieces.push(Piece::Literal(literal.to_owned()));
                rest = after;
                continue;
            };
            let Some((name, after)) = inside.split_once('}') else {
                return bad("a { has no }: close it".into());
            };
            let Some(place) = params.iter().position(|param| **param == *name) else {
                return bad(format!("{{{name}}} is not a parameter of the query: declare it with param()"));
            };
            if std::mem::replace(&mut used[place], true) {
                return bad(format!("{{{name}}} stands twice: name it once"));
            }
            let apart = match pieces.last() {
                None => true,
                Some(Piece::Param(_)) => false,
                Some(Piece::Literal(literal)) => {
                    literal.contains(SEPARATORS)
                        || !pieces.iter().any(|piece| matches!(piece, Piece::Param(_)))
                }
            };
            if !apart {
                return bad(format!(
                    "nothing separates {{{name}}} from the value before it: put a : between them"
                ));
            }
            pieces.push(Piece::Param(place));
            rest = after;
        }
        if let Some(missing) = used.iter().position(|used| !used) {
            return bad(format!(
                "parameter {:?} is missing: two values of it would share a key, name it as {{{}}}",
                params[missing], params[missing]
            ));
        }
        Ok(Template { head: String::new(), pieces })
    }

    /// All parameters, in their order.
    pub(super) fn of_all(params: &[Box<str>]) -> Self {
        let mut pieces = Vec::new();
        for (place, param) in params.iter().enumerate() {
            let separator = if place == 0 { "" } else { ":" };
            pieces.push(Piece::Literal(format!("{separator}{}=", escaped(param))));
            pieces.push(Piece::Param(place));
        }
        Template { head: String::new(), pieces }
    }

    pub(super) fn named(self, name: &str, fingerprint: u64) -> Self {
        Template { head: format!("+{}.{fingerprint:016x}:", escaped(name)), ..self }
    }

    pub(super) fn write(&self, values: &[Value], out: &mut KeyWriter<'_>) {
        out.literal(&self.head);
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => out.literal(literal),
                Piece::Param(place) => out.value(&values[*place]),
            }
        }
    }
}
