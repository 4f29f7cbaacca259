//! One state of the whole: origin, L2, writers, readers, nodes.

use smallvec::SmallVec;

use crate::mechanism::Mechanism;
use crate::record::{Cell, Floor, Value, Writes};
use crate::scenario::Scenario;
use crate::token::{Renaming, Tok};

/// What has become of a writer's transaction, or of its request to an origin without any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Tx {
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
pub(crate) enum WriterAt {
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
pub(crate) struct Writer {
    pub(crate) at: WriterAt,
    pub(crate) tx: Tx,
    /// Its hold.
    pub(crate) hold: Tok,
    /// The right it claims.
    pub(crate) claim: Tok,
    /// What it puts.
    pub(crate) puts: Value,
    /// The token of what it has put, which its end spares.
    pub(crate) spares: Tok,
    /// Its put was sent and not answered: it may arrive at any time.
    pub(crate) late: bool,
}

/// Where a reader is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ReaderAt {
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
    /// It has read the list, and not yet what it rests on.
    ReadList,
    /// It has read what the list rests on, and not yet the list.
    ReadGround,
    Done,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Reader {
    pub(crate) at: ReaderAt,
    pub(crate) right: Tok,
    /// Token of the VALUE that it found, and can't use or may publish.
    pub(crate) observed: Tok,
    pub(crate) loaded: Value,
    /// What the dependency record bore.
    pub(crate) ground: Floor,
    /// Its reservation in L1 is void.
    pub(crate) void: bool,
    /// Nobody joins it any more.
    pub(crate) detached: bool,
    /// It loaded what was older than an acknowledged write already then.
    pub(crate) old: bool,
    /// What was visible, and what was acknowledged, when it began to read in two steps.
    pub(crate) began: (Writes, Writes),
}

impl Reader {
    fn tokens(&mut self, each: &mut impl FnMut(&mut Tok)) {
        each(&mut self.right);
        each(&mut self.observed);
        each(&mut self.loaded.rests_on);
        self.ground.holds.iter_mut().for_each(|hold| each(&mut hold.id));
    }
}

/// Where each of some actors was before.
pub(crate) type Order = SmallVec<[u8; 3]>;

/// Where the actors of a state were in the one before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    pub(crate) writers: Order,
    pub(crate) readers: Order,
}

/// An entry of L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct L1 {
    pub(crate) token: Tok,
    pub(crate) rows: Writes,
    pub(crate) brief: bool,
    /// It was older than an acknowledged write when its load began.
    pub(crate) old: bool,
}

/// How a node hears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Hearing {
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
pub(crate) struct Node {
    pub(crate) l1: Option<L1>,
    pub(crate) hearing: Hearing,
    /// Told and not heard yet: the token that was at the key, or none.
    pub(crate) queue: SmallVec<[Tok; 4]>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// What is at the row's key, or the list's.
    pub(crate) row: Cell,
    /// What is at the key of what lists rest on.
    pub(crate) dependency: Cell,
    /// What the row's key was before its last changes, the latest last, while a failover may come.
    pub(crate) before: SmallVec<[Cell; 3]>,
    pub(crate) failed_over: bool,
    /// What the standby has followed.
    pub(crate) replayed: Writes,
    /// What the feed has told.
    pub(crate) fed: Writes,
    pub(crate) writers: SmallVec<[Writer; 3]>,
    pub(crate) readers: SmallVec<[Reader; 3]>,
    pub(crate) nodes: SmallVec<[Node; 2]>,
    /// The number of the next new token. Follows from the rest.
    next: u8,
}

impl State {
    pub(crate) fn first(scenario: &Scenario) -> Self {
        let mut state = State {
            writers: SmallVec::from_elem(Writer::default(), scenario.writers.len()),
            readers: SmallVec::from_elem(Reader::default(), scenario.readers.len()),
            nodes: SmallVec::from_elem(Node::default(), if scenario.l1 { 2 } else { 0 }),
            ..State::default()
        };
        state.rename(scenario);
        state
    }

    /// A token that is nowhere yet.
    pub(crate) fn draw(&mut self) -> Tok {
        let token = Tok(self.next);
        self.next += 1;
        token
    }

    /// Its tokens, up to those of the readers.
    fn tokens(&mut self, each: &mut impl FnMut(&mut Tok)) {
        let cells = [&mut self.row, &mut self.dependency].into_iter().chain(&mut self.before);
        cells.flatten().for_each(|record| record.tokens(each));
        for writer in &mut self.writers {
            each(&mut writer.hold);
            each(&mut writer.claim);
            each(&mut writer.spares);
        }
        for node in &mut self.nodes {
            if let Some(entry) = &mut node.l1 {
                each(&mut entry.token);
            }
            node.queue.iter_mut().for_each(&mut *each);
        }
    }

    /// All sets of writes in it.
    fn writes(&mut self, each: &mut impl FnMut(&mut Writes)) {
        each(&mut self.fed);
        each(&mut self.replayed);
        let cells = [&mut self.row, &mut self.dependency].into_iter().chain(&mut self.before);
        cells.flatten().for_each(|record| record.writes(each));
        self.nodes.iter_mut().filter_map(|node| node.l1.as_mut()).for_each(|entry| each(&mut entry.rows));
        self.writers.iter_mut().for_each(|writer| writer.puts.writes(each));
        for reader in &mut self.readers {
            reader.loaded.writes(each);
            each(&mut reader.ground.xids);
            each(&mut reader.began.0);
            each(&mut reader.began.1);
        }
    }

    /// Makes one state of those that differ in names only: of tokens, of readers of one node, and of writers of one kind and
    /// node. Returns where each actor was before.
    pub(crate) fn rename(&mut self, scenario: &Scenario) -> Places {
        let writers = self.order_writers(scenario);
        let mut renaming = Renaming::new();
        self.tokens(&mut |token| renaming.rename(token));
        let mut readers: Order = (0..self.readers.len() as u8).collect();
        let there = &self.readers;
        readers.sort_by_cached_key(|place| {
            let place = usize::from(*place);
            let mut reader = there[place];
            // What has no name yet is equal: only its reader knows it.
            reader.tokens(&mut |token| renaming.look_up(token));
            (scenario.readers[place], reader)
        });
        self.readers = readers.iter().map(|place| there[usize::from(*place)]).collect();
        for reader in &mut self.readers {
            reader.tokens(&mut |token| renaming.rename(token));
        }
        self.next = renaming.next();
        Places { writers, readers }
    }

    fn order_writers(&mut self, scenario: &Scenario) -> Order {
        let mut order: Order = (0..self.writers.len() as u8).collect();
        let mut sets: SmallVec<[Writes; 24]> = SmallVec::new();
        let there = self.writers.clone();
        self.writes(&mut |set| sets.push(*set));
        let hold_at = |cell: &Cell, hold: Tok| {
            let floor = cell.as_ref().and_then(|record| record.as_floor());
            floor.and_then(|floor| floor.holds.iter().position(|held| held.id == hold && !hold.is_none()))
        };
        order.sort_by_cached_key(|place| {
            let place = usize::from(*place);
            let Writer { at, tx, hold, late, .. } = there[place];
            let alike = scenario.writers.iter().position(|writer| *writer == scenario.writers[place]);
            let member = sets.iter().fold(0_u32, |all, set| all << 1 | u32::from(set.0 >> place & 1));
            (alike, at, tx, late, hold_at(&self.row, hold), hold_at(&self.dependency, hold), member)
        });
        if order.iter().enumerate().any(|(place, before)| place != usize::from(*before)) {
            self.writers = order.iter().map(|place| there[usize::from(*place)]).collect();
            self.writes(&mut |set| {
                let moved = order.iter().enumerate().map(|(place, before)| (set.0 >> before & 1) << place);
                set.0 = moved.sum();
            });
        }
        order
    }

    fn writers_where(&self, is: impl Fn(&Writer) -> bool) -> Writes {
        let places = (0..self.writers.len()).filter(|place| is(&self.writers[*place]));
        places.map(Writes::one).fold(Writes::NONE, Writes::with)
    }

    /// The writes that a new snapshot shows.
    pub(crate) fn visible(&self) -> Writes {
        self.writers_where(|writer| writer.tx == Tx::Visible)
    }

    /// The transactions that a new snapshot knows to have ended.
    pub(crate) fn ended(&self) -> Writes {
        self.writers_where(|writer| matches!(writer.tx, Tx::Visible | Tx::Aborted))
    }

    /// The transactions, or requests, that are under way.
    pub(crate) fn under_way(&self) -> Writes {
        self.writers_where(|writer| matches!(writer.tx, Tx::Running | Tx::Durable))
    }

    /// The writes that were acknowledged.
    pub(crate) fn acknowledged(&self) -> Writes {
        self.writers_where(|writer| writer.at == WriterAt::Acknowledged)
    }

    /// The list or row in L2, if it may answer one who reads all at once.
    pub(crate) fn hit(&self, scenario: &Scenario) -> Option<Value> {
        let value = *self.row.as_ref()?.as_value()?;
        if !scenario.list {
            return Some(value);
        }
        let there = self.dependency.as_ref()?;
        stands(&value, there.token, there.as_floor()?, scenario).then_some(value)
    }
}

/// Whether a list may answer over what it rests on.
pub(crate) fn stands(list: &Value, token: Tok, marks: &Floor, scenario: &Scenario) -> bool {
    list.rests_on == token && (!scenario.has(Mechanism::DependencyMarks) || marks.seen_by(list.stamp))
}
