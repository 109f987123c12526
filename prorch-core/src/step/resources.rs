use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;

use super::StepError;

/// What steps share with the program that runs them (a client, a pool, a configuration): one value of a type.
#[derive(Default)]
pub struct Resources {
    by_type: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
    names: Vec<&'static str>,
}

impl Resources {
    /// Adds a value; an earlier one of the same type is replaced.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        if self.by_type.insert(TypeId::of::<T>(), Box::new(value)).is_none() {
            self.names.push(type_name::<T>());
        }
    }

    /// The value of this type.
    #[must_use]
    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.by_type.get(&TypeId::of::<T>()).and_then(|value| value.downcast_ref())
    }

    /// The value of this type, which a step asks for.
    pub(super) fn asked<T: 'static>(&self, step: &str) -> Result<&T, StepError> {
        self.get::<T>().ok_or_else(|| {
            let name = type_name::<T>();
            StepError::fatal(format!(
                "step `{step}` asks for a resource of type `{name}`, and the orchestrator has none: write \
                 `.resource(value)` where it is built"
            ))
        })
    }

    /// Whether there is a value of this type.
    #[must_use]
    pub fn has(&self, wanted: ResourceType) -> bool {
        self.by_type.contains_key(&wanted.id)
    }
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.names).finish()
    }
}

/// The type of a resource that a step needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceType {
    id: TypeId,
    name: &'static str,
}

impl ResourceType {
    /// The type `T`.
    #[must_use]
    pub fn of<T: 'static>() -> Self {
        Self { id: TypeId::of::<T>(), name: type_name::<T>() }
    }

    /// Its path, for people.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}
