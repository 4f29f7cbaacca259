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

/// Has a trait of its own: a wrong path would implement the other.
mod other {
    pub(crate) use tierstack::{RequestWriter, Written};

    pub(crate) trait CacheKey {
        fn write_key(&self, out: RequestWriter<'_>) -> Written;
    }
}

#[derive(tierstack::CacheKey)]
#[cache_key(crate = "self::other")]
struct OfAnother;

/// Writes what has only the trait of its own.
struct Through(OfAnother);

impl tierstack::CacheKey for Through {
    fn write_key(&self, out: tierstack::RequestWriter<'_>) -> tierstack::Written {
        other::CacheKey::write_key(&self.0, out)
    }
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
    assert_eq!(Through(OfAnother).key_text(), "()");
    assert_eq!(OfTheFacade(7).key_text(), "7");
}
