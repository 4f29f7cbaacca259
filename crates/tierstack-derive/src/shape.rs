//! The fields and variants of a request as they stand in its key, after every check that needs no types.

use std::collections::HashSet;

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, Ident, LitStr, Member, Path, Result, Type, parse_quote};

use crate::attributes::{Attributes, Place};

/// A type that can be a key.
pub(crate) struct Shape<'a> {
    /// Where the trait is.
    pub(crate) tierstack: Path,
    pub(crate) body: Body<'a>,
}

pub(crate) enum Body<'a> {
    Struct(Values<'a>),
    Enum(Vec<Variant<'a>>),
}

pub(crate) struct Variant<'a> {
    pub(crate) ident: &'a Ident,
    /// Its name in the key.
    pub(crate) name: String,
    pub(crate) values: Values<'a>,
}

/// The fields of a struct or variant that stand in the key, in the order of their declaration.
pub(crate) struct Values<'a> {
    pub(crate) fields: Vec<Field<'a>>,
    pub(crate) skipped: usize,
}

pub(crate) struct Field<'a> {
    pub(crate) member: Member,
    pub(crate) ty: &'a Type,
    /// Its name in the key; nothing for a field of a tuple.
    pub(crate) name: Option<String>,
}

impl<'a> Shape<'a> {
    pub(crate) fn read(input: &'a DeriveInput) -> Result<Self> {
        let said = Attributes::read(&input.attrs, Place::Type)?;
        if let Some(lifetime) = input.generics.lifetimes().next() {
            return Err(Error::new_spanned(
                lifetime,
                "a request is kept while its answer is loaded, so it can't borrow: \
                 own what it refers to (`String`, `Arc<str>`, `Vec<T>`), or take `&'static str`",
            ));
        }
        let body = match &input.data {
            Data::Struct(data) => {
                let values = Values::read(&data.fields)?;
                if values.fields.is_empty() && values.skipped > 0 {
                    return Err(Error::new_spanned(
                        &input.ident,
                        "every field is skipped: all requests would share one answer. Keep the fields that make a \
                         difference; if none does, make it a unit struct",
                    ));
                }
                Body::Struct(values)
            }
            Data::Enum(data) => {
                let mut names = Names::default();
                let mut variants = Vec::new();
                for variant in &data.variants {
                    let said = Attributes::read(&variant.attrs, Place::Variant)?;
                    let name = names.take(&variant.ident, said.rename.as_ref())?;
                    variants.push(Variant {
                        ident: &variant.ident,
                        name,
                        values: Values::read(&variant.fields)?,
                    });
                }
                Body::Enum(variants)
            }
            Data::Union(data) => {
                return Err(Error::new(
                    data.union_token.span,
                    "which field of a union is valid can't be known: make it an enum",
                ));
            }
        };
        Ok(Shape { tierstack: said.tierstack.unwrap_or_else(|| parse_quote!(::tierstack)), body })
    }

    /// All fields that stand in the key.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Field<'a>> {
        let (one, many) = match &self.body {
            Body::Struct(values) => (Some(values), &[][..]),
            Body::Enum(variants) => (None, &variants[..]),
        };
        one.into_iter().chain(many.iter().map(|variant| &variant.values)).flat_map(|values| &values.fields)
    }
}

impl<'a> Values<'a> {
    fn read(all: &'a Fields) -> Result<Self> {
        let mut names = Names::default();
        let mut fields = Vec::new();
        for (field, member) in all.iter().zip(all.members()) {
            let place = if field.ident.is_some() { Place::NamedField } else { Place::TupleField };
            let said = Attributes::read(&field.attrs, place)?;
            if said.skip {
                continue;
            }
            let name =
                field.ident.as_ref().map(|ident| names.take(ident, said.rename.as_ref())).transpose()?;
            fields.push(Field { member, ty: &field.ty, name });
        }
        let skipped = all.len() - fields.len();
        Ok(Values { fields, skipped })
    }
}

/// The names that were given so far.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    /// The name in the key of what the code calls `ident`.
    fn take(&mut self, ident: &Ident, rename: Option<&LitStr>) -> Result<String> {
        let name = rename.map_or_else(|| ident.unraw().to_string(), LitStr::value);
        if !self.0.insert(name.clone()) {
            let at: Span = rename.map_or(ident.span(), Spanned::span);
            return Err(Error::new(at, format!("the name `{name}` is taken: give one of the two another")));
        }
        Ok(name)
    }
}
