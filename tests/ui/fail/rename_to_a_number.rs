use tierstack::CacheKey;

#[derive(CacheKey)]
struct FindFilms {
    #[cache_key(rename = 1)]
    rating: String,
}

fn main() {}
