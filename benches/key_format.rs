//! Row 8: the text of a key, beside `format!` of the same text.

use std::fmt::Write;
use std::hint::black_box;

use benches::Pair;
use tierstack_core::KeyFormat;

fn main() {
    let one = KeyFormat::new("shop", "film", None, &["film_id"], 1_024).expect("the names are plain");
    let two = KeyFormat::new("shop", "film_actor", None, &["actor_id", "film_id"], 1_024)
        .expect("the names are plain");
    let limit = Some(1.0);
    let pair = |what, floor| Pair { bench: "key_format", row: 8, what, floor, limit };
    let mut key = 0i32;
    let mut other = 0i32;
    let mut buffer = Vec::with_capacity(64);
    pair("text of an integer key, new buffer", "format!").run(
        || {
            key = key.wrapping_add(1) & 0xff_ffff;
            drop(black_box(format!("shop:film:film_id={key}")));
        },
        || {
            other = other.wrapping_add(1) & 0xff_ffff;
            let mut buffer = Vec::with_capacity(32);
            one.write(&other, &mut buffer);
            drop(black_box(buffer));
        },
        1,
    );
    let mut text = String::with_capacity(64);
    pair("text of an integer key, same buffer", "write! to a kept String").run(
        || {
            key = key.wrapping_add(1) & 0xff_ffff;
            text.clear();
            write!(text, "shop:film:film_id={key}").expect("a String takes all");
            black_box(text.len());
        },
        || {
            other = other.wrapping_add(1) & 0xff_ffff;
            buffer.clear();
            one.write(&other, &mut buffer);
            black_box(buffer.len());
        },
        1,
    );
    pair("text of a key of two integers, new buffer", "format!").run(
        || {
            key = key.wrapping_add(1) & 0xff_ffff;
            drop(black_box(format!("shop:film_actor:actor_id={key}:film_id={}", key >> 3)));
        },
        || {
            other = other.wrapping_add(1) & 0xff_ffff;
            let mut buffer = Vec::with_capacity(48);
            two.write(&(other, other >> 3), &mut buffer);
            drop(black_box(buffer));
        },
        1,
    );
    let title = KeyFormat::new("shop", "film", None, &["title"], 1_024).expect("the names are plain");
    let titles: Vec<String> = (0..64).map(|n| format!("Academy-Dinosaur-{n}")).collect();
    let (mut at, mut of) = (0usize, 0usize);
    pair("text of a plain text key, new buffer", "format!").run(
        || {
            at = (at + 1) & 63;
            drop(black_box(format!("shop:film:title=~{}", titles[at])));
        },
        || {
            of = (of + 1) & 63;
            let mut buffer = Vec::with_capacity(48);
            title.write(&titles[of], &mut buffer);
            drop(black_box(buffer));
        },
        1,
    );
}
