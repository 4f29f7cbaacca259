use tierstack::CacheKey;

#[derive(CacheKey)]
struct FindFilms {
    rating: Option<Rating>,
}

struct Rating(String);

fn main() {}
