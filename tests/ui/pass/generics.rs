//! Type parameters: asked for what the fields need, and no more.

use std::marker::PhantomData;

use tierstack::CacheKey;

trait Table: Send + Sync + 'static {
    type Id;
    const NAME: &'static str;
}

/// No key itself.
struct Film;

impl Table for Film {
    type Id = i32;
    const NAME: &'static str = "film";
}

#[derive(CacheKey)]
struct Page<T, const SIZE: usize = 20>
where
    T: Clone,
{
    asked: T,
    number: u32,
}

#[derive(CacheKey)]
struct ById<T: Table> {
    id: T::Id,
    others: Vec<<T as Table>::Id>,
    #[cache_key(skip)]
    table: PhantomData<T>,
}

/// A parameter that stands in no field needs to be no key.
#[derive(CacheKey)]
struct Tagged<T>(u32, #[cache_key(skip)] PhantomData<T>);

/// Rests on itself.
#[derive(CacheKey)]
enum Tree<T, U = T> {
    Leaf(T),
    Branch { left: Box<Tree<T, U>>, right: Option<Box<Tree<U, T>>> },
    Many(Vec<(T, [U; 2], Self)>),
}

#[test]
fn parameters_are_bound_as_the_fields_need() {
    let page = Page::<_, 10> { asked: "a".to_owned(), number: 1 };
    assert_eq!(page.key_text(), "(asked=~a,number=1)");
    let by_id = ById::<Film> { id: 7, others: vec![8], table: PhantomData };
    assert_eq!((Film::NAME, by_id.key_text().as_str()), ("film", "(id=7,others=(8))"));
    assert_eq!(Tagged::<Film>(7, PhantomData).key_text(), "7");
    let leaf = |value| Box::new(Tree::<i32>::Leaf(value));
    let tree = Tree::Branch { left: leaf(1), right: Some(leaf(2)) };
    assert_eq!(tree.key_text(), "Branch(left=Leaf(1),right=Leaf(2))");
    assert_eq!(Tree::Many(vec![(1, [2, 3], tree)]).key_text().matches("Leaf").count(), 2);
}
