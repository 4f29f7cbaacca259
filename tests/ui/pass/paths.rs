//! Where the trait is found.

/// A crate that hands `tierstack` on.
mod vendor {
    pub(crate) mod cache {
        pub(crate) use tierstack::*;
    }
}

#[derive(vendor::cache::CacheKey)]
#[cache_key(crate = "vendor::cache")]
struct Vendored<T> {
    id: T,
}

#[derive(tierstack::CacheKey)]
#[cache_key(crate = "tierstack_core")]
struct OfTheCore(i32);

#[derive(tierstack::CacheKey)]
struct OfTheFacade(i32);

#[test]
fn the_trait_is_found_by_any_path() {
    use tierstack_core::CacheKey;
    assert_eq!(Vendored { id: OfTheCore(7) }.key_text(), "(id=7)");
    assert_eq!(OfTheFacade(7).key_text(), "7");
}
