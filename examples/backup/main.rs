//! x
#![allow(dead_code)]
mod archiver; mod files; mod webhook;
fn main() {}
