//! A namespace being built: its settings, checked.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use super::{Namespace, Shared, check_name};
use crate::bus::Listening;
use crate::recorder::{Traced, TracedTier};
use crate::writes::{View, WriteSettings, Writes};
use crate::{BusSettings, Channel, Clock, Error, Random, Recorder, Schema, Tier};

/// A namespace being built.
#[must_use = "a namespace exists once build() has checked it"]
pub struct NamespaceBuilder {
    name: Box<str>,
    tier: Option<Arc<dyn Tier>>,
    bus: BusSettings,
    clock: Clock,
    random: Random,
    writes: WriteSettings,
    recorder: Option<Arc<dyn Recorder>>,
    also: Vec<Schema>,
}

impl NamespaceBuilder {
    pub(super) fn new(name: Box<str>) -> Self {
        NamespaceBuilder {
            name,
            tier: None,
            bus: BusSettings::default(),
            clock: Clock::system(),
            random: Random::system(),
            writes: WriteSettings::default(),
            recorder: None,
            also: Vec::new(),
        }
    }

    /// Sets the shared tier. Without one, L1 over the origin works.
    pub fn l2(self, tier: impl Tier) -> Self {
        self.l2_shared(Arc::new(tier))
    }

    /// Sets a tier that others hold too.
    pub fn l2_shared(mut self, tier: Arc<dyn Tier>) -> Self {
        self.tier = Some(tier);
        self
    }

    /// Sets how other nodes' invalidations are heard, if the tier tells of them.
    pub fn bus(mut self, settings: BusSettings) -> Self {
        self.bus = settings;
        self
    }

    /// Sets the clock. Default: the system's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the source of random draws. Default: the system's.
    pub fn random(mut self, random: Random) -> Self {
        self.random = random;
        self
    }

    /// Sets the limits and times of writes.
    pub fn writes(mut self, settings: WriteSettings) -> Self {
        self.writes = settings;
        self
    }

    /// Sets who records what its caches do; see [`recorder`](crate::recorder). Default: nobody.
    pub fn recorder(mut self, recorder: Arc<dyn Recorder>) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// Names what other services cache under this name, for [`Namespace::invalidate_all`] to reach it from a node that has no
    /// cache of it: `Schema::table("actor")`, or an entity's own. Only the table counts, and the database schema it is in;
    /// the name of a service that is cached counts as a table's.
    pub fn also(mut self, entities: impl IntoIterator<Item = Schema>) -> Self {
        self.also.extend(entities);
        self
    }

    /// Checks the settings. Asks no server, and needs no runtime.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the name is empty, over 64 bytes, or has a character that would have to
    /// be escaped in every key; if a name of an entity is empty; or if a limit or a time can't be, with what to change.
    pub fn build(self) -> Result<Namespace, Error> {
        let NamespaceBuilder { name, tier, bus: settings, clock, random, writes, recorder, also } = self;
        check_name("namespace", &name)?;
        settings.check()?;
        writes.check()?;
        let format = |schema| Schema { projection: None, ..schema }.key_format(&name, 0);
        let also = also.into_iter().map(format).collect::<Result<_, _>>()?;
        let channel = Channel::of(&name);
        let listening = tier
            .as_ref()
            .and_then(|tier| tier.bus())
            .map(|bus| Listening::new(bus, channel.clone(), settings, clock.clone(), random.clone()));
        let traced = recorder.map(|recorder| Traced::new(recorder, &name, clock.clone()));
        let tier = tier.map(|tier| TracedTier::over(tier, traced.as_ref()));
        let writes = Writes::new(tier, channel, clock.clone(), random.clone(), writes);
        let namespace = Namespace(Arc::new(Shared {
            traced,
            listening,
            name,
            tier: View::of(&writes),
            writes,
            clock,
            random,
            caches: Mutex::default(),
            also,
            drains: Mutex::default(),
            is_ending: AtomicBool::new(false),
        }));
        if let Some(traced) = &namespace.0.traced {
            traced.recorder.attach(namespace.downgrade());
        }
        Ok(namespace)
    }
}

impl fmt::Debug for NamespaceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamespaceBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}
