//! The steps of a trip, and how each of them is undone.

use prorch::prelude::*;
use serde::{Deserialize, Serialize};

use crate::agency::Agency;

/// Where it goes, and what is booked so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Trip {
    to: String,
    pub(crate) bookings: Vec<String>,
}

impl Trip {
    pub(crate) fn to(place: &str) -> Self {
        Self { to: place.to_owned(), bookings: Vec::new() }
    }

    fn with(mut self, booking: String) -> Self {
        self.bookings.push(booking);
        self
    }
}

/// A step with state is a type: how it is undone stands beside how it is done.
#[step(retry(max_attempts = 3, backoff = "10ms..100ms"))]
struct BookFlight;

impl Step for BookFlight {
    type Input = Trip;
    type Output = Trip;

    async fn on_start(&mut self, trip: &Trip, cx: &StepContext) -> StepResult<Trip> {
        let agency = cx.resource::<Agency>()?;
        let booking = agency.book("flight", &trip.to, &cx.idempotency_key().to_string())?;
        finish(trip.clone().with(booking))
    }

    /// `Some` trip when the flight is known to be booked. Else it may be: the agency knows it by the key that it was booked
    /// under.
    async fn compensate(&mut self, _: &Trip, _: Option<&Trip>, cx: &StepContext) -> StepResult<()> {
        cx.resource::<Agency>()?.give_back("flight", &cx.step_key().to_string())?;
        finish(())
    }
}

/// A step without state can be a function, and names the one that undoes it.
#[step(compensate = leave_hotel, retry(max_attempts = 3, backoff = "10ms..100ms"))]
async fn book_hotel(trip: Trip, agency: &Agency, cx: &StepContext) -> StepResult<Trip> {
    let booking = agency.book("hotel", &trip.to, &cx.idempotency_key().to_string())?;
    finish(trip.with(booking))
}

async fn leave_hotel(_: &Trip, _: Option<&Trip>, cx: &StepContext) -> StepResult<()> {
    cx.resource::<Agency>()?.give_back("hotel", &cx.step_key().to_string())?;
    finish(())
}

#[step(compensate = return_car)]
async fn rent_car(trip: Trip, agency: &Agency, cx: &StepContext) -> StepResult<Trip> {
    if agency.cars() == 0 {
        return fail(format!("there is no car in {}", trip.to));
    }
    let booking = agency.book("car", &trip.to, &cx.idempotency_key().to_string())?;
    finish(trip.with(booking))
}

async fn return_car(_: &Trip, _: Option<&Trip>, cx: &StepContext) -> StepResult<()> {
    cx.resource::<Agency>()?.give_back("car", &cx.step_key().to_string())?;
    finish(())
}

/// Without a car there is no trip: then what was booked is given back, the last booking first.
#[pipeline(
    input = Trip,
    output = Trip,
    steps = [BookFlight, book_hotel, rent_car],
    on_failure = compensate,
    on_cancel = compensate
)]
pub(crate) struct Journey;
