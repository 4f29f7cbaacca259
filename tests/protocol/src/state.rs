//! One state of the whole: origin, L2, writers, readers, nodes.

use smallvec::SmallVec;

use crate::mechanism::Mechanism;
use crate::record::{Cell, Floor, Value, Writes};
use crate::scenario::Scenario;
use crate::token::{Renaming, Tok};

/// What has become of a writer's transaction, or of its request to an origin without any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tx {
    #[default]
    None,
    /// Begun, and under way.
    Running,
    /// Sure to become visible.
    Durable,
    Visible,
    Aborted,
}

/// Where a writer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WriterAt {
    #[default]
    Start,
    /// Has updated, or begun.
    Updated,
    /// Its floors stand, or its first delete is done.
    Floored,
    /// COMMIT, or the write, was sent.
    Sent,
    /// The answer to COMMIT was lost.
    Unknown,
    /// COMMIT, or the write, was answered.
    Answered,
    /// What was written may be put.
    Putting,
    /// L2 was told.
    Told,
    /// This node was told, and L2 was not: only where that order is taken out.
    NodeTold,
    /// Gives its claim up, before it ends without an acknowledgement.
    Quitting,
    /// Acknowledged to whoever wrote.
    Acknowledged,
    /// Ended without an acknowledgement.
    Quit,
    Crashed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Writer {
    pub at: WriterAt,
    pub tx: Tx,
    /// Its hold.
    pub hold: Tok,
    /// The right it claims.
    pub claim: Tok,
    /// What it puts.
    pub puts: Value,
}

/// Where a reader is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReaderAt {
    #[default]
    Start,
    /// Its place in L1 is reserved.
    Reserved,
    /// It has read L2, and asks for a right; for a list, after it has read what the list rests on.
    Asking,
    /// Its request for a right was sent, and the answer lost.
    Unanswered,
    /// It may load and fill.
    Leased,
    /// It may load, and not fill.
    Barred,
    /// It has loaded.
    Loaded,
    /// It has what L1 may take.
    Got,
    /// It has what L1 may take for a moment.
    GotBrief,
    Done,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reader {
    pub at: ReaderAt,
    pub right: Tok,
    /// Token of the VALUE that it found, and can't use or may publish.
    pub observed: Tok,
    pub loaded: Value,
    /// What the dependency record bore.
    pub ground: Floor,
    /// Its reservation in L1 is void.
    pub void: bool,
    /// Nobody joins it any more.
    pub detached: bool,
    /// It loaded what was older than an acknowledged write already then.
    pub old: bool,
}

/// An entry of L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct L1 {
    pub token: Tok,
    pub rows: Writes,
    pub brief: bool,
    /// It was older than an acknowledged write when its load began.
    pub old: bool,
}

/// How a node hears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Hearing {
    #[default]
    Alive,
    /// Nothing reaches it, and it has not noticed.
    Cut,
    /// It has noticed, and is suspended.
    Deaf,
    /// Subscribed again, still suspended.
    Subscribed,
    /// Its entries were checked before it subscribed: only where that order is taken out.
    Checked,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Node {
    pub l1: Option<L1>,
    pub hearing: Hearing,
    /// Told and not heard yet: the token that was at the key, or none.
    pub queue: SmallVec<[Tok; 4]>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// What is at the row's key, or the list's.
    pub row: Cell,
    /// What is at the key of what lists rest on.
    pub dependency: Cell,
    /// What the row's key was before its last changes, the latest last, while a failover may come.
    pub before: SmallVec<[Cell; 3]>,
    pub failed_over: bool,
    /// What the standby has followed.
    pub replayed: Writes,
    /// What the feed has told.
    pub fed: Writes,
    pub writers: SmallVec<[Writer; 3]>,
    pub readers: SmallVec<[Reader; 3]>,
    pub nodes: SmallVec<[Node; 2]>,
    /// The number of the next new token. Follows from the rest.
    next: u8,
}

impl State {
    #[must_use]
    pub fn first(scenario: &Scenario) -> Self {
        let mut state = State {
            writers: SmallVec::from_elem(Writer::default(), scenario.writers.len()),
            readers: SmallVec::from_elem(Reader::default(), scenario.readers.len()),
            nodes: SmallVec::from_elem(Node::default(), if scenario.l1 { 2 } else { 0 }),
            ..State::default()
        };
        state.rename();
        state
    }

    /// A token that is nowhere yet.
    pub fn draw(&mut self) -> Tok {
        let token = Tok(self.next);
        self.next += 1;
        token
    }

    fn tokens(&mut self, each: &mut impl FnMut(&mut Tok)) {
        let cells = [&mut self.row, &mut self.dependency].into_iter().chain(&mut self.before);
        cells.flatten().for_each(|record| record.tokens(each));
        for writer in &mut self.writers {
            each(&mut writer.hold);
            each(&mut writer.claim);
        }
        for reader in &mut self.readers {
            each(&mut reader.right);
            each(&mut reader.observed);
            each(&mut reader.loaded.rests_on);
            reader.ground.holds.iter_mut().for_each(|hold| each(&mut hold.id));
        }
        for node in &mut self.nodes {
            if let Some(entry) = &mut node.l1 {
                each(&mut entry.token);
            }
            node.queue.iter_mut().for_each(&mut *each);
        }
    }

    /// Names its tokens in the order in which they appear, so that states that differ in names only are one.
    pub fn rename(&mut self) {
        let mut renaming = Renaming::new();
        self.tokens(&mut |token| renaming.rename(token));
        self.next = renaming.next();
    }

    fn writers_where(&self, is: impl Fn(&Writer) -> bool) -> Writes {
        let places = (0..self.writers.len()).filter(|place| is(&self.writers[*place]));
        places.map(Writes::one).fold(Writes::NONE, Writes::with)
    }

    /// The writes that a new snapshot shows.
    #[must_use]
    pub fn visible(&self) -> Writes {
        self.writers_where(|writer| writer.tx == Tx::Visible)
    }

    /// The transactions that a new snapshot knows to have ended.
    #[must_use]
    pub fn ended(&self) -> Writes {
        self.writers_where(|writer| matches!(writer.tx, Tx::Visible | Tx::Aborted))
    }

    /// The transactions, or requests, that are under way.
    #[must_use]
    pub fn under_way(&self) -> Writes {
        self.writers_where(|writer| matches!(writer.tx, Tx::Running | Tx::Durable))
    }

    /// The writes that were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> Writes {
        self.writers_where(|writer| writer.at == WriterAt::Acknowledged)
    }

    /// The list or row in L2, if it may answer.
    #[must_use]
    pub fn hit(&self, scenario: &Scenario) -> Option<Value> {
        let value = *self.row.as_ref()?.as_value()?;
        if scenario.list {
            let there = self.dependency.as_ref()?;
            let marks = *there.as_floor()?;
            let stands = value.rests_on == there.token
                && (!scenario.has(Mechanism::DependencyMarks)
                    || marks.seen_by(value.stamp));
            return stands.then_some(value);
        }
        Some(value)
    }
}
