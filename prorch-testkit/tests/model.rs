//! Random sequences of what can happen to runs in memory keep the promises.

use prorch_core::repository::MemoryRepository;

prorch_testkit::model!((200, 19_000), async || MemoryRepository::new());
