use tierstack::CacheKey;

#[derive(CacheKey)]
enum Order {
    Newest,
    #[cache_key(rename = "Newest")]
    Latest,
}

fn main() {}
