use tierstack::CacheKey;

#[derive(CacheKey)]
struct FindFilms {
    rating: String,
    #[cache_key(skip)]
    #[cache_key(rename = "trace")]
    trace_id: u64,
}

fn main() {}
