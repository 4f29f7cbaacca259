use tierstack::CacheKey;

#[derive(CacheKey)]
struct FindFilms {
    rating: String,
    #[cache_key(skip = true)]
    trace_id: u64,
}

fn main() {}
