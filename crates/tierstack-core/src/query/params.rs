//! The parameter types of a query, as a tuple that grows by one with each `param`.

use smallvec::{SmallVec, smallvec};

use crate::key::sealed::Sealed;
use crate::{Error, KeyPart, Value};

/// A tuple of parameter types; up to six.
pub trait Params: Sealed + Sized {
    /// The tuple with one more.
    type Push<T: KeyPart>: Params;
    /// How many there are.
    const COUNT: usize;
    /// The values, without their static types.
    fn into_values(self) -> SmallVec<[Value; 2]>;
    /// The values of as many texts.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid), naming the text that is not of its type.
    fn parse(texts: &[&str]) -> Result<SmallVec<[Value; 2]>, Error>;
}

/// More parameters than six: no query can be built with it.
#[derive(Debug)]
pub struct TooMany;

impl Sealed for TooMany {}

impl Params for TooMany {
    type Push<T: KeyPart> = TooMany;
    const COUNT: usize = usize::MAX;
    fn into_values(self) -> SmallVec<[Value; 2]> {
        SmallVec::new()
    }
    fn parse(_: &[&str]) -> Result<SmallVec<[Value; 2]>, Error> {
        Err(Error::invalid("a query takes at most 6 parameters: declare fewer"))
    }
}

macro_rules! params {
    ($($part:ident . $place:tt),*; $count:literal, $push:ty) => {
        impl<$($part: KeyPart),*> Sealed for ($($part,)*) {}

        impl<$($part: KeyPart),*> Params for ($($part,)*) {
            type Push<Next: KeyPart> = $push;
            const COUNT: usize = $count;
            fn into_values(self) -> SmallVec<[Value; 2]> {
                smallvec![$(self.$place.value()),*]
            }
            fn parse(texts: &[&str]) -> Result<SmallVec<[Value; 2]>, Error> {
                let _ = texts;
                Ok(smallvec![$($part::parse(texts[$place])?.value()),*])
            }
        }
    };
}

params!(; 0, (Next,));
params!(A.0; 1, (A, Next));
params!(A.0, B.1; 2, (A, B, Next));
params!(A.0, B.1, C.2; 3, (A, B, C, Next));
params!(A.0, B.1, C.2, D.3; 4, (A, B, C, D, Next));
params!(A.0, B.1, C.2, D.3, F.4; 5, (A, B, C, D, F, Next));
params!(A.0, B.1, C.2, D.3, F.4, G.5; 6, TooMany);
