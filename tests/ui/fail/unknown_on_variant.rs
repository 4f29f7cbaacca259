use tierstack::CacheKey;

#[derive(CacheKey)]
enum Order {
    Newest,
    #[cache_key(skip)]
    Title,
}

fn main() {}
