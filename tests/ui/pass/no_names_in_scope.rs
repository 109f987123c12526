//! The generated code needs no name of the prelude, and none of ours.
#![no_implicit_prelude]

#[::prorch::step(retry(max_attempts = 2, backoff = "1s..2s"), timeout = "1s", resources(::std::string::String))]
struct Transfer {
    done: ::core::primitive::u64,
}

impl ::prorch::Step for Transfer {
    type Input = ::core::primitive::u64;
    type Output = ::core::primitive::u64;
}

#[::prorch::step]
async fn notify(
    number: ::core::primitive::u64,
    client: &::std::string::String,
) -> ::core::result::Result<::core::primitive::usize, ::std::io::Error> {
    let _ = number;
    ::core::result::Result::Ok(client.len())
}

#[::prorch::pipeline(input = ::core::primitive::u64, steps = [Transfer, notify])]
struct Backup;

fn main() {}
