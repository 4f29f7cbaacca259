//! Wrong arguments, wrong settings and wrong rows: told in a sentence, and costing nobody else an answer.

mod keys;
mod loaders;
mod settings;
