//! The implementation that the derive writes.
//!
//! It names all things by absolute path and calls no method of a trait by its name alone, so that nothing in the user's scope
//! can be meant instead.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{DeriveInput, Result, Type};

use crate::bounds::where_clause;
use crate::shape::{Body, Field, Shape, Values, Variant};

pub(crate) fn cache_key(input: &DeriveInput) -> Result<TokenStream> {
    let shape = Shape::read(input)?;
    let tierstack = &shape.tierstack;
    let out = Ident::new("__out", Span::mixed_site());
    let body = match &shape.body {
        Body::Struct(values) => write_struct(values, &out, &shape),
        // A reference to an enum without variants could have a value.
        Body::Enum(variants) if variants.is_empty() => quote!(match *self {}),
        Body::Enum(variants) => {
            let arms = variants.iter().map(|variant| write_variant(variant, &out));
            quote!(match self { #(#arms)* })
        }
    };
    let clause = where_clause(&input.generics, &shape);
    let (ident, (impl_generics, type_generics, _)) = (&input.ident, input.generics.split_for_impl());
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #tierstack::CacheKey for #ident #type_generics #clause {
            fn write_key(&self, #out: #tierstack::RequestWriter<'_>) -> #tierstack::Written {
                #body
            }
        }
    })
}

fn write_struct(values: &Values<'_>, out: &Ident, shape: &Shape<'_>) -> TokenStream {
    let own = |field: &Field<'_>| {
        // `self` is that of the function, whoever wrote the type.
        let (at, member) = (start(field.ty).resolved_at(Span::call_site()), &field.member);
        quote_spanned!(at=> &self.#member)
    };
    match &values.fields[..] {
        // A wrapper is written as what it wraps.
        [field @ Field { name: None, .. }] => {
            let (tierstack, value) = (&shape.tierstack, own(field));
            quote!(#tierstack::CacheKey::write_key(#value, #out))
        }
        fields => write_group(quote!(#out.group()), fields, fields.iter().map(own)),
    }
}

fn write_variant(variant: &Variant<'_>, out: &Ident) -> TokenStream {
    let (ident, name, fields) = (variant.ident, &variant.name, &variant.values.fields);
    let members = fields.iter().map(|field| &field.member);
    let bind = |(place, field): (usize, &Field<'_>)| {
        Ident::new(&format!("__value{place}"), Span::mixed_site().located_at(start(field.ty)))
    };
    let bindings: Vec<Ident> = fields.iter().enumerate().map(bind).collect();
    let rest = (variant.values.skipped > 0).then(|| quote!(..));
    let write = write_group(quote!(#out.variant(#name)), fields, &bindings);
    quote!(Self::#ident { #(#members: #bindings,)* #rest } => #write,)
}

/// The group's beginning, its values, its end.
fn write_group(
    begin: TokenStream,
    fields: &[Field<'_>],
    values: impl IntoIterator<Item = impl ToTokens>,
) -> TokenStream {
    let write = fields.iter().zip(values).map(|(field, value)| match &field.name {
        Some(name) => quote!(.field(#name, #value)),
        None => quote!(.item(#value)),
    });
    quote!(#begin #(#write)* .end())
}

/// Where the compiler says that a type is no key: at its first token. All of it is a span on a nightly compiler only.
fn start(ty: &Type) -> Span {
    ty.to_token_stream().into_iter().next().map_or_else(Span::call_site, |token| token.span())
}
