use tierstack::CacheKey;

#[derive(CacheKey)]
#[cache_key(rename = "films")]
struct FindFilms {
    rating: String,
}

fn main() {}
