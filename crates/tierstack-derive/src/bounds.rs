//! What a generic request asks of its parameters.

use syn::{GenericArgument, Generics, Ident, PathArguments, Type, WhereClause, parse_quote};

use crate::shape::Shape;

/// The where clause of the implementation. Bounds are on the parameters, and on types named through them (`T::Id`), not on
/// the fields' types: those of a recursive type would rest on themselves.
pub(crate) fn where_clause(generics: &Generics, shape: &Shape<'_>) -> WhereClause {
    let tierstack = &shape.tierstack;
    let mut clause = generics
        .where_clause
        .clone()
        .unwrap_or_else(|| WhereClause { where_token: Default::default(), predicates: Default::default() });
    let mut found =
        Found { params: generics.type_params().map(|param| &param.ident).collect(), ..Found::default() };
    shape.fields().for_each(|field| found.look_into(field.ty));
    for param in &found.params {
        clause.predicates.push(if found.written.contains(param) {
            parse_quote!(#param: #tierstack::CacheKey)
        } else {
            parse_quote!(#param: ::core::marker::Send + ::core::marker::Sync + 'static)
        });
    }
    for ty in &found.associated {
        clause.predicates.push(parse_quote!(#ty: #tierstack::CacheKey));
    }
    clause
}

#[derive(Default)]
struct Found<'a> {
    params: Vec<&'a Ident>,
    /// The parameters that stand in a field's type.
    written: Vec<&'a Ident>,
    /// Types named through a parameter.
    associated: Vec<&'a Type>,
}

impl<'a> Found<'a> {
    /// Looks into the types that can be made of keys; no others are keys.
    fn look_into(&mut self, ty: &'a Type) {
        match ty {
            Type::Path(path) => {
                let first = path.path.segments.first().map(|segment| &segment.ident);
                let is_param = first.is_some_and(|first| self.params.contains(&first));
                if path.qself.is_some() || is_param && path.path.segments.len() > 1 {
                    self.associated.push(ty);
                } else if let Some(param) = first.filter(|_| is_param) {
                    self.written.push(param);
                } else {
                    path.path
                        .segments
                        .iter()
                        .for_each(|segment| self.look_into_arguments(&segment.arguments));
                }
            }
            Type::Array(array) => self.look_into(&array.elem),
            Type::Slice(slice) => self.look_into(&slice.elem),
            Type::Reference(reference) => self.look_into(&reference.elem),
            Type::Tuple(tuple) => tuple.elems.iter().for_each(|elem| self.look_into(elem)),
            Type::Paren(paren) => self.look_into(&paren.elem),
            Type::Group(group) => self.look_into(&group.elem),
            _ => {}
        }
    }

    fn look_into_arguments(&mut self, arguments: &'a PathArguments) {
        if let PathArguments::AngleBracketed(arguments) = arguments {
            for argument in &arguments.args {
                if let GenericArgument::Type(ty) = argument {
                    self.look_into(ty);
                }
            }
        }
    }
}
