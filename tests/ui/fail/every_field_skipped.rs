use tierstack::CacheKey;

#[derive(CacheKey)]
struct FindFilms {
    #[cache_key(skip)]
    rating: String,
    #[cache_key(skip)]
    page: u32,
}

fn main() {}
