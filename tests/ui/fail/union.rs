use tierstack::CacheKey;

#[derive(CacheKey)]
union Id {
    number: u64,
    bytes: [u8; 8],
}

fn main() {}
