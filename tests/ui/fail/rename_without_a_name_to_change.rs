use tierstack::CacheKey;

#[derive(CacheKey)]
struct Page(#[cache_key(rename = "number")] u32, u32);

fn main() {}
