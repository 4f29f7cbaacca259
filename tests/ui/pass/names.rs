//! Names of the user's that the derive could mistake for its own, or its own for them.

use tierstack::CacheKey;

/// Nothing is in scope, and everything that comes to mind is something else.
mod bare {
    #![no_implicit_prelude]
    #![allow(non_camel_case_types, non_upper_case_globals, clippy::upper_case_acronyms)]

    mod core {}
    mod std {}
    mod tierstack {}

    pub(super) struct Option;
    pub(super) struct Result;
    pub(super) struct Vec;
    pub(super) trait CacheKey {}
    pub(super) trait Send {}
    pub(super) struct Written;
    pub(super) struct RequestWriter;
    const out: u8 = 0;
    struct self_;

    #[derive(::tierstack::CacheKey)]
    pub(super) struct String(pub(super) u8);

    #[derive(::tierstack::CacheKey)]
    pub(super) enum Names {
        Ok { out: u8, __out: u8, self_: u8 },
        None(u8, u8),
        Self_,
        r#struct { r#type: u8, __value0: u8, __value1: u8 },
        Überschrift,
    }

    #[derive(::tierstack::CacheKey)]
    pub(super) struct Fields<CacheKeys, Written> {
        pub(super) out: u8,
        pub(super) __out: u8,
        pub(super) self_: String,
        pub(super) r#type: CacheKeys,
        pub(super) write_key: Written,
    }

    impl String {
        pub(super) fn write_key(&self) -> u8 {
            self.0
        }
    }
}

/// Written by a macro, whose names are its own.
macro_rules! request {
    ($name:ident { $($field:ident: $ty:ty),* }, $wrapper:ident($inner:ident)) => {
        #[derive(CacheKey)]
        struct $name {
            $($field: $ty,)*
            of_the_macro: u8,
        }

        #[derive(CacheKey)]
        struct $wrapper($inner);

        #[derive(CacheKey)]
        enum Choice {
            Given($inner),
            Own(u8),
        }
    };
}
request!(Written { given: Option<u8> }, Wrapper(u8));

#[test]
fn names_are_the_users() {
    use bare::{Fields, Names, String};
    for (text, expected) in [
        (String(7).key_text(), "7"),
        (Names::Ok { out: 1, __out: 2, self_: 3 }.key_text(), "Ok(out=1,__out=2,self_=3)"),
        (Names::None(1, 2).key_text(), "None(1,2)"),
        (Names::Self_.key_text(), "Self_"),
        (
            Names::r#struct { r#type: 1, __value0: 2, __value1: 3 }.key_text(),
            "struct(type=1,__value0=2,__value1=3)",
        ),
        (Names::Überschrift.key_text(), "%C3%9Cberschrift"),
        (
            Fields { out: 1, __out: 2, self_: String(3), r#type: 4, write_key: true }.key_text(),
            "(out=1,__out=2,self_=3,type=4,write_key=!b1)",
        ),
        (Written { given: Some(1), of_the_macro: 2 }.key_text(), "(given=1,of_the_macro=2)"),
        (Wrapper(1).key_text(), "1"),
        (Choice::Given(1).key_text(), "Given(1)"),
        (Choice::Own(1).key_text(), "Own(1)"),
    ] {
        assert_eq!(text, expected);
    }
    assert_eq!(String(7).write_key(), 7);
}
