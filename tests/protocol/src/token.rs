//! Tokens of the model: small numbers, renamed in order of appearance so that equal states are one.

use std::fmt;

use tierstack_core::Token;

/// A token, a right or the id of a hold. Only whether two are equal means anything.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Tok(pub u8);

impl Tok {
    pub(crate) const NONE: Tok = Tok(0);
    /// The one token of a client that draws no other; never renamed.
    pub(crate) const CLIENT: Tok = Tok(MOST as u8 - 1);

    pub(crate) fn is_none(self) -> bool {
        self == Tok::NONE
    }

    /// As it stands in a record.
    pub(crate) fn bytes(self) -> Token {
        Token::from_bytes([self.0; 16])
    }

    /// As it was read from a record that the model wrote.
    pub(crate) fn of(token: Token) -> Self {
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
pub(crate) struct Renaming {
    new: [u8; MOST],
    old: [u8; MOST],
    next: u8,
}

impl Renaming {
    pub(crate) fn new() -> Self {
        let mut renaming = Renaming { new: [0; MOST], old: [0; MOST], next: 1 };
        let client = Tok::CLIENT.0;
        renaming.new[usize::from(client)] = client;
        renaming.old[usize::from(client)] = client;
        renaming
    }

    pub(crate) fn rename(&mut self, token: &mut Tok) {
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

    /// The name of a token that was met; the last of all for one that wasn't.
    pub(crate) fn look_up(&self, token: &mut Tok) {
        token.0 = match (token.is_none(), self.new[usize::from(token.0)]) {
            (true, _) => 0,
            (false, 0) => u8::MAX,
            (false, new) => new,
        };
    }

    /// What a renamed token was called before.
    pub(crate) fn restore(&self, token: &mut Tok) {
        token.0 = self.old[usize::from(token.0)];
    }

    /// The first number that was not given.
    pub(crate) fn next(&self) -> u8 {
        self.next
    }
}
