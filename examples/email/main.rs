//! x
#![allow(dead_code)]
fn main() {}
