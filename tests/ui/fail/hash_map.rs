use std::collections::HashMap;

use tierstack::CacheKey;

#[derive(CacheKey)]
enum Find {
    Films(HashMap<String, String>),
}

fn main() {}
