use tierstack::CacheKey;

#[derive(CacheKey)]
enum Find {
    Films {
        #[cache_key(rename = "page")]
        rating: String,
        page: u32,
    },
}

fn main() {}
