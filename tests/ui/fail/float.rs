use tierstack::CacheKey;

#[derive(CacheKey)]
struct Near {
    latitude: f64,
    longitude: f64,
}

fn main() {}
