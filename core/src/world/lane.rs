//! Who is next: the ready task instances of all runs, by lane, priority, DAG in turn, and run.
//!
//! ```text
//! pool ─▶ lane (pool, slots of one instance) ─▶ class (priority weight) ─▶ DAGs in turn ─▶ runs by date
//! ```
//!
//! A run offers only its best ready instance per lane, so a pool that is full or a run at its limit
//! costs a few entries and not one per instance. Every operation is logarithmic.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroU32,
};

use crate::id::{PoolName, RunKey, Timestamp};

use super::DagIx;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PoolIx(u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LaneIx(u32);

/// Runs of one DAG go by date: logical date, else run_after.
pub(super) type RunOrder = (Timestamp, RunKey);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Capacity {
    /// No such pool (yet): its instances wait.
    Unknown,
    Slots(u32),
    Unlimited,
}

#[derive(Debug)]
pub(super) struct Pool {
    pub name: PoolName,
    pub capacity: Capacity,
    /// Slots held by attempts that are not closed.
    pub used: u32,
    lanes: Vec<LaneIx>,
}

impl Pool {
    pub fn has_room_for(&self, slots: u32) -> bool {
        match self.capacity {
            Capacity::Unknown => false,
            Capacity::Slots(total) => u64::from(self.used) + u64::from(slots) <= u64::from(total),
            Capacity::Unlimited => true,
        }
    }
}

/// Lower is better.
type Priority = Reverse<i32>;

#[derive(Debug)]
struct Lane {
    pool: PoolIx,
    slots: u32,
    classes: BTreeMap<Priority, Class>,
    served: u64,
    /// Its entry among the open lanes.
    listed: Option<(Priority, u64)>,
}

#[derive(Debug, Default)]
struct Class {
    ring: BTreeMap<u64, DagIx>,
    dags: BTreeMap<DagIx, DagQueue>,
}

#[derive(Debug)]
struct DagQueue {
    turn: u64,
    runs: BTreeSet<RunOrder>,
}

/// The best candidate of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pick {
    pub lane: LaneIx,
    pub priority: i32,
    pub dag: DagIx,
    pub run: RunKey,
}

#[derive(Debug, Default)]
pub(super) struct Lanes {
    pools: Vec<Pool>,
    by_name: HashMap<PoolName, PoolIx>,
    lanes: Vec<Lane>,
    /// Lanes with candidates and with room in their pool.
    open: BTreeSet<(Priority, u64, LaneIx)>,
    /// Counts services; who was served longest ago comes first.
    clock: u64,
}

impl Lanes {
    /// The pool of this name; made as unknown if nobody defined it yet.
    pub fn pool_ix(&mut self, name: &PoolName) -> PoolIx {
        if let Some(&ix) = self.by_name.get(name) {
            return ix;
        }
        let ix = PoolIx(self.pools.len() as u32);
        self.pools.push(Pool { name: name.clone(), capacity: Capacity::Unknown, used: 0, lanes: Vec::new() });
        self.by_name.insert(name.clone(), ix);
        ix
    }

    pub fn lane_ix(&mut self, pool: &PoolName, slots: NonZeroU32) -> LaneIx {
        let pool = self.pool_ix(pool);
        let slots = slots.get();
        let known = self.pools[pool.0 as usize].lanes.iter().find(|ix| self.lanes[ix.0 as usize].slots == slots);
        if let Some(&ix) = known {
            return ix;
        }
        let ix = LaneIx(self.lanes.len() as u32);
        self.lanes.push(Lane { pool, slots, classes: BTreeMap::new(), served: 0, listed: None });
        self.pools[pool.0 as usize].lanes.push(ix);
        ix
    }

    pub fn pools(&self) -> &[Pool] {
        &self.pools
    }

    pub fn pool_of(&self, lane: LaneIx) -> &Pool {
        &self.pools[self.lanes[lane.0 as usize].pool.0 as usize]
    }

    pub fn slots_of(&self, lane: LaneIx) -> u32 {
        self.lanes[lane.0 as usize].slots
    }

    pub fn set_capacity(&mut self, pool: &PoolName, capacity: Capacity) {
        let pool = self.pool_ix(pool);
        self.pools[pool.0 as usize].capacity = capacity;
        self.relist_pool(pool);
    }

    /// Takes the slots of one attempt.
    pub fn acquire(&mut self, lane: LaneIx) {
        let Lane { pool, slots, .. } = self.lanes[lane.0 as usize];
        self.pools[pool.0 as usize].used += slots;
        self.relist_pool(pool);
    }

    /// Gives the slots of one attempt back.
    pub fn release(&mut self, lane: LaneIx) {
        let Lane { pool, slots, .. } = self.lanes[lane.0 as usize];
        let used = &mut self.pools[pool.0 as usize].used;
        *used = used.checked_sub(slots).expect("slots are released once, by the attempt that took them");
        self.relist_pool(pool);
    }

    /// Adds a run's best candidate of a lane.
    pub fn offer(&mut self, lane: LaneIx, priority: i32, dag: DagIx, order: RunOrder) {
        self.clock += 1;
        let turn = self.clock;
        let class = self.lanes[lane.0 as usize].classes.entry(Reverse(priority)).or_default();
        let queue = class.dags.entry(dag).or_insert_with(|| {
            class.ring.insert(turn, dag);
            DagQueue { turn, runs: BTreeSet::new() }
        });
        let is_new = queue.runs.insert(order);
        debug_assert!(is_new, "a run offers one candidate per lane");
        self.relist(lane);
    }

    /// Takes a run's candidate out again.
    pub fn withdraw(&mut self, lane: LaneIx, priority: i32, dag: DagIx, order: RunOrder) {
        let classes = &mut self.lanes[lane.0 as usize].classes;
        let class = classes.get_mut(&Reverse(priority)).expect("what is withdrawn was offered");
        let queue = class.dags.get_mut(&dag).expect("what is withdrawn was offered");
        let was_there = queue.runs.remove(&order);
        debug_assert!(was_there, "what is withdrawn was offered");
        if queue.runs.is_empty() {
            class.ring.remove(&queue.turn);
            class.dags.remove(&dag);
        }
        if class.dags.is_empty() {
            classes.remove(&Reverse(priority));
        }
        self.relist(lane);
    }

    /// The best candidate whose pool has room.
    pub fn best(&self) -> Option<Pick> {
        let &(Reverse(priority), _, lane) = self.open.first()?;
        let (_, class) = self.lanes[lane.0 as usize].classes.first_key_value().expect("an open lane has candidates");
        let (_, &dag) = class.ring.first_key_value().expect("a class has DAGs");
        let &(_, run) = class.dags[&dag].runs.first().expect("a DAG in the ring has runs");
        Some(Pick { lane, priority, dag, run })
    }

    /// After a pick was taken: its DAG and its lane go to the end of their rings.
    pub fn served(&mut self, pick: Pick) {
        self.clock += 1;
        let turn = self.clock;
        let lane = &mut self.lanes[pick.lane.0 as usize];
        lane.served = turn;
        if let Some(class) = lane.classes.get_mut(&Reverse(pick.priority))
            && let Some(queue) = class.dags.get_mut(&pick.dag)
        {
            class.ring.remove(&queue.turn);
            queue.turn = turn;
            class.ring.insert(turn, pick.dag);
        }
        self.relist(pick.lane);
    }

    fn relist_pool(&mut self, pool: PoolIx) {
        for index in 0..self.pools[pool.0 as usize].lanes.len() {
            self.relist(self.pools[pool.0 as usize].lanes[index]);
        }
    }

    fn relist(&mut self, ix: LaneIx) {
        let lane = &mut self.lanes[ix.0 as usize];
        let has_room = self.pools[lane.pool.0 as usize].has_room_for(lane.slots);
        let wanted = match lane.classes.first_key_value() {
            Some((&priority, _)) if has_room => Some((priority, lane.served)),
            Some(_) | None => None,
        };
        if lane.listed != wanted {
            if let Some((priority, served)) = lane.listed {
                self.open.remove(&(priority, served, ix));
            }
            if let Some((priority, served)) = wanted {
                self.open.insert((priority, served, ix));
            }
            lane.listed = wanted;
        }
    }
}
