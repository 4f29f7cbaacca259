use std::collections::HashSet;

use tierstack::CacheKey;

#[derive(CacheKey)]
struct Films(HashSet<i32>);

fn main() {}
