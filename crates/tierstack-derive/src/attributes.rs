//! `#[cache_key(...)]`: what may stand in it, and where.

use proc_macro2::Span;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Lit, LitStr, Path, Result, Token};

/// What carries the attribute.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Type,
    Variant,
    NamedField,
    TupleField,
}

impl Place {
    /// What may stand there.
    fn takes(self) -> &'static str {
        match self {
            Place::Type => "a type takes `crate = \"path\"`, a field `skip` or `rename = \"name\"`",
            Place::Variant => "a variant takes `rename = \"name\"`, a field of it `skip`",
            Place::NamedField => "a field takes `skip` or `rename = \"name\"`",
            Place::TupleField => "a field without a name takes `skip`, as there is no name to change",
        }
    }
}

/// What was said of a type, variant or field.
#[derive(Default)]
pub(crate) struct Attributes {
    pub(crate) skip: bool,
    pub(crate) rename: Option<LitStr>,
    pub(crate) tierstack: Option<Path>,
}

impl Attributes {
    pub(crate) fn read(attributes: &[Attribute], place: Place) -> Result<Self> {
        let mut read = Attributes::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("cache_key")) {
            if attribute.meta.require_list().is_err() {
                return Err(Error::new_spanned(attribute, format!("nothing is said: {}", place.takes())));
            }
            attribute.parse_nested_meta(|meta| read.add(&meta, place))?;
        }
        Ok(read)
    }

    fn add(&mut self, meta: &ParseNestedMeta<'_>, place: Place) -> Result<()> {
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        let was_said = match (name.as_str(), place) {
            ("skip", Place::NamedField | Place::TupleField) => {
                if !meta.input.is_empty() && !meta.input.peek(Token![,]) {
                    return Err(meta.input.error("`skip` takes no value: write `skip` alone"));
                }
                std::mem::replace(&mut self.skip, true)
            }
            ("rename", Place::NamedField | Place::Variant) => {
                let new = text(meta, "rename = \"name\"")?;
                if new.value().is_empty() {
                    return Err(Error::new(new.span(), "an empty name: write the name to use in keys"));
                }
                self.rename.replace(new).is_some()
            }
            ("crate", Place::Type) => {
                let path = text(meta, "crate = \"path\"")?;
                let parsed = path.parse_with(Path::parse_mod_style).map_err(|_| {
                    Error::new(
                        path.span(),
                        "not a path: write that of `tierstack`, such as `crate = \"tierstack_core\"`",
                    )
                })?;
                self.tierstack.replace(parsed).is_some()
            }
            _ => {
                return Err(Error::new_spanned(&meta.path, format!("unknown here: {}", place.takes())));
            }
        };
        if was_said {
            return Err(Error::new_spanned(&meta.path, "said twice: say it once"));
        }
        if self.skip && self.rename.is_some() {
            return Err(Error::new_spanned(
                &meta.path,
                "`skip` and `rename` on one field: a skipped field has no name in the key, keep one of them",
            ));
        }
        Ok(())
    }
}

/// The text after `=`.
fn text(meta: &ParseNestedMeta<'_>, example: &str) -> Result<LitStr> {
    let wrong = |span: Span| Error::new(span, format!("a text in quotes is missing: write `{example}`"));
    let Ok(value) = meta.value() else { return Err(wrong(meta.path.span())) };
    let span = value.span();
    match value.parse() {
        Ok(Lit::Str(text)) if text.suffix().is_empty() => Ok(text),
        _ => Err(wrong(span)),
    }
}
