use prorch::prelude::*;
use serde::{Deserialize, Serialize};

/// About 80 bytes of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) number: u64,
    pub(crate) customer: String,
    pub(crate) note: String,
}

impl Order {
    pub(crate) fn new(number: u64) -> Self {
        Self { number, customer: "customer-0815".into(), note: "leave it at the neighbour's".into() }
    }
}

/// About 20 bytes of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Receipt {
    number: u64,
    ok: bool,
}

#[step]
async fn reserve(order: &Order) -> StepResult<Receipt> {
    finish(Receipt { number: order.number, ok: true })
}

#[step]
async fn charge(receipt: &Receipt) -> StepResult<Receipt> {
    finish(receipt.clone())
}

#[step]
async fn ship(receipt: &Receipt) -> StepResult<Receipt> {
    finish(receipt.clone())
}

/// The work that is the same for all.
#[pipeline(steps = [reserve, charge, ship], input = Order, output = Receipt)]
pub(crate) struct Fulfilment;
