//! The token: what is now at a key in L2.

use std::fmt;

/// A unique id of what is at a key in L2, or of a right to fill it: 16 random bytes, compared, never ordered.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token([u8; 16]);

impl Token {
    /// Size on the wire, in bytes.
    pub const SIZE_BYTES: usize = 16;
    /// No token: all zero. Never drawn.
    pub const NONE: Token = Token([0; 16]);

    /// The token with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Token(bytes)
    }

    /// Its bytes, as they stand in a record.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether this is [`Token::NONE`].
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Token::NONE
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}
