//! The types that can stand in a request.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{CacheKey, RequestWriter, Written};

macro_rules! unsigned {
    ($($int:ty),*) => {$(impl CacheKey for $int {
        fn write_key(&self, out: RequestWriter<'_>) -> Written {
            out.integer(false, *self as u128)
        }
    })*};
}
unsigned!(u8, u16, u32, u64, u128, usize);

macro_rules! signed {
    ($($int:ty),*) => {$(impl CacheKey for $int {
        fn write_key(&self, out: RequestWriter<'_>) -> Written {
            out.integer(*self < 0, self.unsigned_abs() as u128)
        }
    })*};
}
signed!(i8, i16, i32, i64, i128, isize);

macro_rules! text {
    ($($text:ty),*) => {$(impl CacheKey for $text {
        fn write_key(&self, out: RequestWriter<'_>) -> Written {
            out.text(self)
        }
    })*};
}
text!(String, &'static str, Box<str>, Arc<str>, Cow<'static, str>);

impl CacheKey for char {
    fn write_key(&self, out: RequestWriter<'_>) -> Written {
        out.text(self.encode_utf8(&mut [0; 4]))
    }
}

macro_rules! part {
    ($($part:ty),*) => {$(impl CacheKey for $part {
        fn write_key(&self, out: RequestWriter<'_>) -> Written {
            out.part(self)
        }
    })*};
}
part!(bool, Uuid);

impl CacheKey for Duration {
    fn write_key(&self, out: RequestWriter<'_>) -> Written {
        out.integer(false, self.as_nanos())
    }
}

impl<T: CacheKey> CacheKey for Option<T> {
    fn write_key(&self, out: RequestWriter<'_>) -> Written {
        match self {
            None => out.part(&None::<bool>),
            Some(value) => out.some(value),
        }
    }
}

macro_rules! pointer {
    ($($pointer:ident),*) => {$(impl<T: CacheKey> CacheKey for $pointer<T> {
        fn write_key(&self, out: RequestWriter<'_>) -> Written {
            T::write_key(self, out)
        }
    })*};
}
pointer!(Box, Arc);

macro_rules! list {
    ($($list:ty),*) => {$(impl<T: CacheKey> CacheKey for $list {
        fn write_key(&self, out: RequestWriter<'_>) -> Written {
            self.iter().fold(out.list(self.len()), |list, item| list.item(item)).end()
        }
    })*};
}
list!(Vec<T>, Box<[T]>, Arc<[T]>, BTreeSet<T>);

impl<K: CacheKey, V: CacheKey> CacheKey for BTreeMap<K, V> {
    fn write_key(&self, out: RequestWriter<'_>) -> Written {
        self.iter().fold(out.list(self.len()), |list, (key, value)| list.entry(key, value)).end()
    }
}

impl<T: CacheKey, const N: usize> CacheKey for [T; N] {
    fn write_key(&self, out: RequestWriter<'_>) -> Written {
        self.iter().fold(out.group(), |group, item| group.item(item)).end()
    }
}

macro_rules! tuple {
    ($($value:ident . $place:tt),*) => {
        impl<$($value: CacheKey),*> CacheKey for ($($value,)*) {
            fn write_key(&self, out: RequestWriter<'_>) -> Written {
                out.group()$(.item(&self.$place))*.end()
            }
        }
    };
}
tuple!();
tuple!(A.0);
tuple!(A.0, B.1);
tuple!(A.0, B.1, C.2);
tuple!(A.0, B.1, C.2, D.3);
