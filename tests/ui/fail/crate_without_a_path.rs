use tierstack::CacheKey;

#[derive(CacheKey)]
#[cache_key(crate = "not a path")]
struct FindFilms {
    rating: String,
}

fn main() {}
