use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The id with this value.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The id whose 16 bytes these are, as a store keeps them.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes that a store keeps.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The value as a UUID.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

uuid_newtype! {
    /// Names one run. A UUID v7, so that ids sort by the time of their making.
    RunId
}

uuid_newtype! {
    /// Names one message. A message that is posted twice under one id is one message.
    MessageId
}

uuid_newtype! {
    /// Names one worker: random for every start of a process, never a host's name, so that a restarted process is
    /// somebody else.
    WorkerId
}

impl MessageId {
    /// The id of what one run says to another at this epoch: worked out and not drawn, so that who decides needs no
    /// chance, and says the same when it decides again. A run says one thing to another at one epoch.
    #[must_use]
    pub fn between(from: RunId, to: RunId, epoch: Epoch) -> Self {
        let turned = to.as_uuid().as_u128().rotate_left(64);
        let mixed = from.as_uuid().as_u128() ^ turned ^ u128::from(epoch.0).rotate_left(32);
        Self(Uuid::from_u128(mixed))
    }
}

/// The fencing token: how often a run was claimed or changed from outside. Every way to gain power over a run raises
/// it, so that whoever held the run before is recognised as late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Where a back end keeps a run (a row id, say): brought by a claim, handed back with every update, so that a fence
/// costs no look-up by UUID. Zero says *unknown*; only the back end that made it understands another value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Locator(pub u64);
