//! `#[derive(CacheKey)]`: each mistake has one file below `fail`, with what the compiler says of it beside it; what must
//! compile has a module below `pass`.
//!
//! The modules are part of this program, and not built one by one: so clippy sees them, and they are run.
//!
//! A package of its own: `trybuild` compiles all that the package of a test depends on once more.

mod pass;

/// Each mistake is an error at the place where it is, in a sentence that says what to write instead.
///
/// Types that can't be keys (`float`, `hash_map`, `hash_set`, `not_derived`) are told by the compiler with words of its own
/// around ours: these four files may change with its version. The others hold nothing but ours.
///
/// After a change of the sentences: `TRYBUILD=overwrite cargo test --test ui`, and read the difference.
#[test]
fn mistakes_are_told() {
    trybuild::TestCases::new().compile_fail("fail/*.rs");
}
