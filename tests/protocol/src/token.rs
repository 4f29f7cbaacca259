//! Tokens of the model: small numbers, renamed in order of appearance so that equal states are one.

use std::fmt;

use tierstack_core::Token;

/// A token, a right or the id of a hold. Only whether two are equal means anything.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tok(pub u8);

impl Tok {
    pub const NONE: Tok = Tok(0);
    /// The one token of a client that draws no other; never renamed.
    pub const CLIENT: Tok = Tok(MOST as u8 - 1);

    #[must_use]
    pub fn is_none(self) -> bool {
        self == Tok::NONE
    }

    /// As it stands in a record.
    #[must_use]
    pub fn bytes(self) -> Token {
        Token::from_bytes([self.0; 16])
    }

    /// As it was read from a record that the model wrote.
    #[must_use]
    pub fn of(token: Token) -> Self {
        Tok(token.as_bytes()[0])
    }
}

impl fmt::Debug for Tok {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

const MOST: usize = 64;

/// Gives tokens the numbers 1, 2, … in the order in which they are met.
pub struct Renaming {
    new: [u8; MOST],
    old: [u8; MOST],
    next: u8,
}

impl Renaming {
    #[must_use]
    pub fn new() -> Self {
        let mut renaming = Renaming { new: [0; MOST], old: [0; MOST], next: 1 };
        let client = Tok::CLIENT.0;
        renaming.new[usize::from(client)] = client;
        renaming.old[usize::from(client)] = client;
        renaming
    }

    pub fn rename(&mut self, token: &mut Tok) {
        if token.is_none() {
            return;
        }
        let place = usize::from(token.0);
        if self.new[place] == 0 {
            self.new[place] = self.next;
            self.old[usize::from(self.next)] = token.0;
            self.next += 1;
        }
        token.0 = self.new[place];
    }

    /// What a renamed token was called before.
    pub fn restore(&self, token: &mut Tok) {
        token.0 = self.old[usize::from(token.0)];
    }

    /// The first number that was not given.
    #[must_use]
    pub fn next(&self) -> u8 {
        self.next
    }
}

impl Default for Renaming {
    fn default() -> Self {
        Renaming::new()
    }
}
