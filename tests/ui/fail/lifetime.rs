use tierstack::CacheKey;

#[derive(CacheKey)]
struct FindFilms<'a> {
    rating: &'a str,
}

fn main() {}
