//! The in-memory repository keeps the contract.

use prorch_core::repository::MemoryRepository;

prorch_testkit::conformance!(async || MemoryRepository::new());
prorch_testkit::faults!(async || MemoryRepository::new());
