//! What is generated of `proto/shop.proto`.

#![allow(missing_docs, clippy::all, unreachable_pub)]

tonic::include_proto!("shop");
