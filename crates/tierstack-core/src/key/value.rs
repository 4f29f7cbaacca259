//! A key's value without its static type: what queries hold and origins bind as a parameter.

use std::sync::Arc;

use uuid::Uuid;

use super::KeyPart;

/// One typed value. Equality is of type and value: the integer 1 is not the text "1".
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Value {
    /// SQL's null.
    Null,
    /// A whole number; every integer key fits.
    Int(i128),
    /// Text.
    Text(Arc<str>),
    /// A uuid.
    Uuid(Uuid),
    /// A truth value.
    Bool(bool),
}

impl Value {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Value::Null => None::<bool>.write(out),
            Value::Int(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => number.write(out),
                (_, Ok(number)) => number.write(out),
                // No key part makes such a number.
                _ => out.extend_from_slice(number.to_string().as_bytes()),
            },
            Value::Text(text) => super::part::write_text(text, out),
            Value::Uuid(uuid) => uuid.write(out),
            Value::Bool(truth) => truth.write(out),
        }
    }

    pub(crate) fn size_bytes(&self) -> usize {
        if let Value::Text(text) = self { text.len() } else { 0 }
    }
}

macro_rules! from_integers {
    ($($int:ty),*) => {$(impl From<$int> for Value {
        fn from(number: $int) -> Self {
            Value::Int(number.into())
        }
    })*};
}
from_integers!(i16, i32, i64, u16, u32, u64);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.into())
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Value::Bool(truth)
    }
}

impl From<Uuid> for Value {
    fn from(uuid: Uuid) -> Self {
        Value::Uuid(uuid)
    }
}
