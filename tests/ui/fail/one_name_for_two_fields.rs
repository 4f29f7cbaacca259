use tierstack::CacheKey;

#[derive(CacheKey)]
struct FindFilms {
    rating: String,
    #[cache_key(rename = "rating")]
    minimum_rating: String,
}

fn main() {}
