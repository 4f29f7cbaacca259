use tierstack::CacheKey;

#[derive(CacheKey)]
struct FindFilms {
    #[cache_key(rename = "")]
    rating: String,
}

fn main() {}
