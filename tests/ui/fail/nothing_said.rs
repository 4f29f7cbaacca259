use tierstack::CacheKey;

#[derive(CacheKey)]
struct FindFilms {
    rating: String,
    #[cache_key]
    trace_id: u64,
}

fn main() {}
