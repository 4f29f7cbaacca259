use tierstack::CacheKey;

#[derive(CacheKey)]
struct FindFilms {
    #[cache_key(rename = "a", rename = "b")]
    rating: String,
}

fn main() {}
