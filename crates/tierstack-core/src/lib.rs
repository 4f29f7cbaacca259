//! The contract and the layers of tierstack.
